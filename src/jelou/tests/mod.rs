//! Bodies as the upstream writes them.

mod bodies;

use crate::domain::time::Range;

/// The example of the upstream's documentation, byte for byte.
const DOCUMENTED: &str = r#"{"message":["Retrieving conversations succeeded"],"status":"success",
 "results":[{"_id":"111111aaaaaa","operator":{"names":"Jelou app"},"user":{"id":"111111111111"},
   "bot":{"name":"Jelou Dev WhatsApp"},"company":{"id":123},"assignationMethod":{"teamName":"Frontend"},
   "state":"expired","endedReason":"expired","startAt":"2023-06-08 15:52:41","endAt":"2023-06-08 23:07:56",
   "origin":"ticket","timeRepliedOperator":795880,"conversationDuration":26115953}],
 "pagination":{"limit":1,"total":61,"offset":0,"totalPages":61},
 "links":[{"number":1,"url":"/v1/metrics/conversations/attended/external?limit=1&page=1"}]}"#;

/// 2023-06-08 in Guayaquil.
const DAY: Range = Range { start: 1_686_200_400, end: 1_686_286_799 };
