//! A life story at one instant, as a row of JSON.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::options::DateStyle;
use super::story::{Flaw, Story, TeamShown};
use crate::domain::time::UnixMillis;

/// How rows are written.
#[derive(Clone, Debug)]
pub(super) struct Writing {
    /// How dates are written.
    pub(super) dates: DateStyle,
    /// The zone of dates that are not in UTC.
    pub(super) zone: TimeZone,
    /// Whether types vary and fields are missing.
    pub(super) quirks: bool,
    /// `company.id`.
    pub(super) company: u64,
}

impl Writing {
    /// A date, as a row says it.
    pub(super) fn date(&self, at: UnixMillis) -> String {
        let Ok(at) = Timestamp::from_millisecond(at.0) else { return "Invalid date".to_owned() };
        match self.dates {
            DateStyle::Local => at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            DateStyle::IsoUtc => at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            DateStyle::IsoOffset => at.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string(),
        }
    }

    /// The row of a record, as it stands at this instant.
    pub(super) fn row(&self, story: &Story, now: UnixMillis) -> Value {
        // Which oddities a record shows depends on its id alone, so that reading it twice gives the same row.
        let mut odd = Oddities { dice: Dice::of_text(4, &story.id), on: self.quirks };
        let ending = story.ending_at(now);
        let person = Person::of(&story.id);
        let mut row = Map::new();
        row.insert("_id".to_owned(), json!(story.id));
        row.insert("operator".to_owned(), operator(story, person.name, &mut odd));
        row.insert("user".to_owned(), json!({ "id": person.user }));
        odd.object(&mut row, "bot", "name", story.bot.as_deref());
        let company = if odd.happens(0.3) { json!(self.company.to_string()) } else { json!(self.company) };
        row.insert("company".to_owned(), json!({ "id": company }));
        let assigned = match &story.team {
            TeamShown::Assigned(team) => Some(&**team),
            TeamShown::Operator(_) | TeamShown::Nowhere => None,
        };
        odd.object(&mut row, "assignationMethod", "teamName", assigned);
        let active = if odd.happens(0.2) { "ACTIVE" } else { "active" };
        row.insert("state".to_owned(), json!(ending.map_or(active, |ending| &*ending.state)));
        odd.text(&mut row, "endedReason", ending.and_then(|ending| ending.reason.as_deref()));
        row.insert("startAt".to_owned(), json!(self.date(story.start)));
        odd.nullable(&mut row, "endAt", ending.map(|ending| json!(self.date(ending.at))));
        odd.text(&mut row, "origin", story.origin.as_deref());
        let reply = story.reply_at(now).map(|reply| odd.number(reply));
        odd.nullable(&mut row, "timeRepliedOperator", reply);
        let duration = ending.filter(|ending| ending.duration_stated).map(|ending| ending.at.since(story.start));
        let duration = duration.and_then(|millis| u64::try_from(millis).ok()).map(|millis| odd.number(millis));
        odd.nullable(&mut row, "conversationDuration", duration);
        if odd.happens(0.3) {
            row.insert("lastMessage".to_owned(), json!({ "text": person.message, "by": "USER" }));
            row.insert("tags".to_owned(), json!(["vip", 3, null]));
        }
        match story.flaw {
            None => {}
            Some(Flaw::NoId) => drop(row.remove("_id")),
            Some(Flaw::NoStart) => drop(row.remove("startAt")),
            Some(Flaw::UnreadableStart) => drop(row.insert("startAt".to_owned(), json!("Invalid date"))),
        }
        for (name, value) in &story.fields {
            row.insert(name.to_string(), value.clone());
        }
        Value::Object(row)
    }
}

fn operator(story: &Story, name: &str, odd: &mut Oddities) -> Value {
    match &story.team {
        TeamShown::Operator(team) => json!({ "names": name, "team": &**team }),
        // Where the assignment names a team, the operator's own (he may be in several) must not win over it.
        TeamShown::Assigned(_) if odd.happens(0.2) => json!({ "names": name, "team": "Ventas,Soporte" }),
        TeamShown::Assigned(_) => json!({ "names": name }),
        TeamShown::Nowhere if odd.happens(0.5) => [Value::Null, json!({})][odd.dice.below(2)].clone(),
        TeamShown::Nowhere => json!({ "names": name }),
    }
}

/// The ways in which a row may look odd.
struct Oddities {
    dice: Dice,
    on: bool,
}

impl Oddities {
    fn happens(&mut self, probability: f64) -> bool {
        // Rolled even when off, so that both writings of a record agree in what follows.
        self.dice.chance(probability) && self.on
    }

    /// An object with one name in it; without a name it is null, missing, empty, or has a null or blank inside.
    fn object(&mut self, row: &mut Map<String, Value>, key: &str, inner: &str, name: Option<&str>) {
        let way = self.dice.below(5);
        let value = match name {
            Some(name) => json!({ inner: name }),
            None => match if self.on { way } else { 0 } {
                0 => Value::Null,
                1 => return,
                2 => json!({}),
                3 => json!({ inner: null }),
                _ => json!({ inner: "" }),
            },
        };
        row.insert(key.to_owned(), value);
    }

    /// A text; without one it is null, missing or empty.
    fn text(&mut self, row: &mut Map<String, Value>, key: &str, text: Option<&str>) {
        let empty = self.happens(0.3);
        let missing = if empty && text.is_none() { Some(json!("")) } else { None };
        self.nullable(row, key, text.map(|text| json!(text)).or(missing));
    }

    /// A value; without one it is null or missing.
    fn nullable(&mut self, row: &mut Map<String, Value>, key: &str, value: Option<Value>) {
        let absent = self.happens(0.3);
        match value {
            Some(value) => drop(row.insert(key.to_owned(), value)),
            None if absent => {}
            None => drop(row.insert(key.to_owned(), Value::Null)),
        }
    }

    /// A number, now and then as text.
    fn number(&mut self, number: u64) -> Value {
        if self.happens(0.1) { json!(number.to_string()) } else { json!(number) }
    }
}

const NAMES: [&str; 6] =
    ["María López", "José Ñahui", "Ana Quiñónez", "Luis Cedeño", "Sofía Bravo-Páez", "Andrés Zambrano"];
const MESSAGES: [&str; 3] =
    ["hola, mi cédula es 1712345678", "mi tarjeta no pasa, llámame al 0991234567", "gracias, Dios le pague"];

/// Personal data that the upstream shows and nothing else may.
struct Person {
    user: String,
    name: &'static str,
    message: &'static str,
}

impl Person {
    fn of(id: &str) -> Self {
        let mut dice = Dice::of_text(5, id);
        let number = 593_900_000_000 + dice.next() % 100_000_000;
        let user = match dice.below(5) {
            0 => format!("+{number}"),
            1 => format!("{number}@c.us"),
            2 => format!("cliente.{}@correo.example", number % 1_000_000),
            3 => format!("usuario_{}", number % 1_000_000),
            _ => number.to_string(),
        };
        Self { user, name: NAMES[dice.below(NAMES.len())], message: MESSAGES[dice.below(MESSAGES.len())] }
    }
}

/// Every piece of personal data that the row of this record may show: user, operator, message text.
pub(super) fn personal_data(story: &Story) -> [String; 3] {
    let person = Person::of(&story.id);
    [person.user, person.name.to_owned(), person.message.to_owned()]
}

/// An instant as the `Date` header and the dated form of `Retry-After` say it.
pub(super) fn http_date(at: UnixMillis) -> String {
    let since = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// 2023-06-08T20:52:41.123Z.
    const START: UnixMillis = UnixMillis(1_686_257_561_123);

    fn writing(dates: DateStyle, quirks: bool) -> Writing {
        let zone = TimeZone::get("America/Guayaquil").unwrap();
        Writing { dates, zone, quirks, company: 123 }
    }

    #[test]
    fn a_row_has_the_documented_shape() {
        let story = Story::new("111111aaaaaa", START)
            .by("Jelou Dev WhatsApp", "Frontend")
            .origin("ticket")
            .replied_after(795_880)
            .ended_after(26_115_953, "expired", "expired");
        let writing = writing(DateStyle::Local, false);
        let mut row = writing.row(&story, START + 26_115_953);
        assert!(row["operator"]["names"].is_string() && row["user"]["id"].is_string());
        row["operator"]["names"] = json!("Jelou app");
        row["user"]["id"] = json!("111111111111");
        let documented = json!({"_id":"111111aaaaaa","operator":{"names":"Jelou app"},"user":{"id":"111111111111"},
            "bot":{"name":"Jelou Dev WhatsApp"},"company":{"id":123},"assignationMethod":{"teamName":"Frontend"},
            "state":"expired","endedReason":"expired","startAt":"2023-06-08 15:52:41","endAt":"2023-06-08 23:07:57",
            "origin":"ticket","timeRepliedOperator":795880,"conversationDuration":26115953});
        assert_eq!(row, documented);

        let early = writing.row(&story, START + 1000);
        assert_eq!(early["state"], "active");
        for field in ["endedReason", "endAt", "timeRepliedOperator", "conversationDuration"] {
            assert_eq!(early[field], Value::Null, "{field}");
        }
    }

    #[test]
    fn dates_are_written_in_three_styles() {
        assert_eq!(writing(DateStyle::Local, false).date(START), "2023-06-08 15:52:41");
        assert_eq!(writing(DateStyle::IsoUtc, false).date(START), "2023-06-08T20:52:41.123Z");
        assert_eq!(writing(DateStyle::IsoOffset, false).date(START), "2023-06-08T15:52:41.123-05:00");
    }

    #[test]
    fn odd_rows_vary_but_are_the_same_when_read_again() {
        let writing = writing(DateStyle::Local, true);
        let mut shapes = BTreeSet::new();
        for number in 0..300 {
            let story = Story::new(format!("id{number}"), START).replied_after(1000).closed_after(2000);
            let row = writing.row(&story, START + 3000);
            assert_eq!(row, writing.row(&story, START + 3000));
            let kind = |value: Option<&Value>| value.map(|value| value.to_string().chars().next());
            shapes.insert(("bot", kind(row.get("bot"))));
            shapes.insert(("company", kind(Some(&row["company"]["id"]))));
            shapes.insert(("reply", kind(row.get("timeRepliedOperator"))));
            let active = writing.row(&Story { endings: vec![], ..story }, START + 3000);
            shapes.insert(("endedReason", kind(active.get("endedReason"))));
            shapes.insert(("state", kind(Some(&active["state"].as_str().unwrap().into()))));
        }
        let count = |field| shapes.iter().filter(|(name, _)| *name == field).count();
        assert_eq!((count("bot"), count("company"), count("reply"), count("endedReason")), (3, 2, 2, 3));
    }

    #[test]
    fn flaws_and_given_fields_show() {
        let writing = writing(DateStyle::Local, false);
        let row = |flaw| writing.row(&Story { flaw: Some(flaw), ..Story::new("a", START) }, START);
        assert_eq!(row(Flaw::NoId).get("_id"), None);
        assert_eq!(row(Flaw::NoStart).get("startAt"), None);
        assert_eq!(row(Flaw::UnreadableStart)["startAt"], "Invalid date");
        let story = Story::new("a", START).field("timeRepliedOperator", json!(-5)).field("extra", json!([1]));
        let row = writing.row(&story, START);
        assert_eq!((&row["timeRepliedOperator"], &row["extra"]), (&json!(-5), &json!([1])));
    }

    #[test]
    fn personal_data_is_what_the_row_shows() {
        let story = Story::new("abc", START);
        let row = writing(DateStyle::Local, false).row(&story, START);
        let [user, name, _] = personal_data(&story);
        assert_eq!((row["user"]["id"].as_str(), row["operator"]["names"].as_str()), (Some(&*user), Some(&*name)));
    }
}
