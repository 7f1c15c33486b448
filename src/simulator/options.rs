//! How a simulated API behaves.

use super::cast::Cast;
use super::faults::FaultRates;

/// Which form of the `Authorization` header is let in; any other gets 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthForm {
    /// `Basic base64(clientId:clientSecret)`.
    Basic,
    /// `clientId:clientSecret`.
    Raw,
    /// Both.
    Either,
}

/// How dates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateStyle {
    /// `2023-06-08 15:52:41`, without a zone, in the zone of the `timezone` header.
    Local,
    /// `2023-06-08T20:52:41.123Z`.
    IsoUtc,
    /// `2023-06-08T15:52:41.123-05:00`, in the zone of the `timezone` header.
    IsoOffset,
}

impl DateStyle {
    /// Whether the milliseconds of a date are lost in writing.
    pub const fn whole_seconds(self) -> bool {
        matches!(self, Self::Local)
    }
}

/// What `pagination.total` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotalStyle {
    /// The number of records in the range.
    Exact,
    /// Nothing; `totalPages` is missing too.
    Absent,
    /// So many more than there are (fewer when negative), never below 0.
    Off(i64),
}

/// How the server refuses a range wider than [`SimulatorOptions::max_range`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooWide {
    /// 422.
    Unprocessable,
    /// 500.
    ServerError,
    /// No answer ever comes.
    Hang,
}

/// How a simulated API behaves. The default is a plain, healthy one with lifelike traffic.
#[derive(Clone, Debug)]
pub struct SimulatorOptions {
    /// The same seed gives the same world and the same faults.
    pub seed: u64,
    /// The credentials that are let in.
    pub client_id: String,
    /// The credentials that are let in.
    pub client_secret: String,
    /// The form in which they must come.
    pub auth: AuthForm,
    /// The path of both dialects, where it is not the documented one.
    pub path: Option<String>,
    /// `company.id`; `None`: 500, "authorization token does not have an assigned company".
    pub company: Option<u64>,
    /// Generated conversations an hour, averaged over a week; 0: only what is [put](super::Simulator::put).
    pub per_hour: f64,
    /// The least share of that at any hour: nights and weekends are no quieter.
    pub quietest: f64,
    /// Who takes part in the generated conversations.
    pub cast: Cast,
    /// Multiplies every generated time; below 1 life is quicker than real.
    pub pace: f64,
    /// How many milliseconds before the start of the simulator the generated world begins.
    pub history: i64,
    /// Whether types vary, fields are missing, values unknown and records late, as the real API is known to do.
    pub quirks: bool,
    /// The share of generated records that cannot be read (no `_id`, no readable `startAt`).
    pub bad_rows: f64,
    /// The share of generated closed records that become active again.
    pub reopenings: f64,
    /// How dates are written; `None`: local for `metrics-post`, UTC for `external-get`.
    pub date_style: Option<DateStyle>,
    /// The zone of zone-less dates, whatever the `timezone` header says; `None`: the header is obeyed.
    pub fixed_zone: Option<String>,
    /// Whether the newest records are listed first.
    pub newest_first: bool,
    /// The largest page; a larger `limit` is lowered to it.
    pub max_page_size: u64,
    /// What `pagination.total` says.
    pub totals: TotalStyle,
    /// The widest range that is answered, seconds between its ends.
    pub max_range: Option<i64>,
    /// How a wider one is refused.
    pub too_wide: TooWide,
    /// More requests than this within one second get 429; below 1, one request in so many seconds is answered.
    pub requests_per_second: Option<f64>,
    /// How often something goes wrong.
    pub faults: FaultRates,
    /// How many requests are remembered for [`requests`](super::Simulator::requests).
    pub requests_kept: usize,
}

impl Default for SimulatorOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            client_id: "simulated-client".to_owned(),
            client_secret: "simulated-secret".to_owned(),
            auth: AuthForm::Basic,
            path: None,
            company: Some(123),
            per_hour: 120.0,
            quietest: 0.0,
            cast: Cast::default(),
            pace: 1.0,
            history: 30 * 24 * 3_600_000,
            quirks: false,
            bad_rows: 0.0,
            reopenings: 0.0,
            date_style: None,
            fixed_zone: None,
            newest_first: true,
            max_page_size: 50,
            totals: TotalStyle::Exact,
            max_range: None,
            too_wide: TooWide::Unprocessable,
            requests_per_second: None,
            faults: FaultRates::default(),
            requests_kept: 200_000,
        }
    }
}

impl SimulatorOptions {
    /// A world to look at: something happens every few seconds, every documented oddity shows up, nothing fails. Nobody asks
    /// it what it was asked, so it does not remember.
    pub fn demo() -> Self {
        Self {
            per_hour: 600.0,
            quietest: 0.5,
            pace: 0.5,
            quirks: true,
            bad_rows: 0.001,
            reopenings: 0.005,
            auth: AuthForm::Either,
            requests_kept: 0,
            ..Self::default()
        }
    }

    /// A world that holds nothing but what is [put](super::Simulator::put).
    pub fn scripted() -> Self {
        Self { per_hour: 0.0, ..Self::default() }
    }
}
