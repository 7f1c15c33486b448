//! What holds for every body.

use super::*;
use crate::jelou::lenient::MAX_ROWS;

/// 2023-06-08 in Guayaquil, as in the documentation's example.
const DAY: Range = Range { start: 1_686_200_400, end: 1_686_286_799 };
/// What the decoder takes in of a message, and some room for the words around it.
const LONGEST_ERROR: usize = 5_000;

/// A body is read or refused, the same each time, and by both ways of reading alike where both can.
pub fn check(body: &[u8]) {
    let zone = TimeZone::get("America/Guayaquil").expect("it is bundled");
    let decoded = decode(body, DAY, &zone);
    assert_eq!(decoded, decode(body, DAY, &zone), "read twice");
    match &decoded {
        Ok(page) => page.rows.iter().for_each(check_row),
        Err(error) => assert!(error.to_string().chars().count() <= LONGEST_ERROR, "{error}"),
    }
    assert!(decoded.as_ref().map_or(0, |page| page.rows.len()) <= MAX_ROWS);

    let dates = Dates::new(&zone, DAY);
    let Ok(answer) = serde_json::from_slice::<Obj<Answer<'_, Obj<Record<'_>>>>>(body) else { return };
    let one_pass = listed(answer)
        .map(|(records, pagination)| in_one_pass(&records, &dates).map(|rows| Decoded::new(rows, pagination)));
    match one_pass {
        Ok(Some(page)) => assert_eq!(row_by_row(body, &dates), Ok(page), "the two ways of reading differ"),
        Ok(None) => {}
        Err(error) => assert_eq!(row_by_row(body, &dates), Err(error), "the two ways of refusing differ"),
    }
}

fn check_row(row: &Row) {
    match row {
        Row::Rejected(rejected) => assert!(!rejected.why.is_empty()),
        Row::Conversation(conversation) => {
            assert!(!conversation.bot.trim().is_empty() && !conversation.team.trim().is_empty(), "{conversation:?}");
            assert!(conversation.company.as_deref().is_none_or(|company| !company.trim().is_empty()));
        }
    }
}
