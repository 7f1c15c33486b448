//! What can go wrong, by chance or by script.

use std::collections::VecDeque;

use super::dice::Dice;

/// How a 429 says when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not at all.
    Silent,
    /// In so many seconds.
    Seconds(u32),
    /// At a date so many seconds from now by the server's clock.
    Date(u32),
}

/// The ways in which HTTP 200 carries a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureInside {
    /// `"status": 0`.
    StatusZero,
    /// `"status": "failed"`.
    StatusFailed,
    /// `"status": "error"`.
    StatusError,
    /// A success that lacks `results`.
    NoResults,
}

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the request is answered as it should be. For scripts such as "the third one fails".
    Nothing,
    /// 429.
    TooManyRequests(RetryAfter),
    /// 401, whatever the credentials.
    Unauthorized,
    /// 422, whatever the range.
    Unprocessable,
    /// 500, in JSON.
    ServerError,
    /// 500, "authorization token does not have an assigned company".
    NoCompany,
    /// 502 from a proxy, in HTML.
    BadGateway,
    /// Any other status, with the documented body.
    Status(u16),
    /// A redirect (302) to another path of this server.
    Redirect,
    /// The right answer, cut off in the middle.
    CutBody,
    /// The beginning of the right answer, and then nothing until the simulator stops.
    StalledBody,
    /// The right status with a body that is not JSON.
    Garbage,
    /// No answer until the simulator stops.
    Hang,
    /// The connection breaks without an answer.
    Reset,
    /// HTTP 200 with a failure inside.
    FailureInside(FailureInside),
    /// The page ends with a second copy of its first row.
    RepeatedRow,
    /// The page begins so many rows later: rows are missed when positive, shown again when negative.
    ShiftedRows(i64),
}

/// How likely each fault is, per request (0 to 1). The default is never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultRates {
    /// [`Fault::TooManyRequests`] without a `Retry-After`.
    pub too_many: f64,
    /// [`Fault::TooManyRequests`] with one second to wait.
    pub too_many_seconds: f64,
    /// [`Fault::TooManyRequests`] with a date one second ahead.
    pub too_many_date: f64,
    /// [`Fault::ServerError`].
    pub server_error: f64,
    /// [`Fault::BadGateway`].
    pub bad_gateway: f64,
    /// [`Fault::CutBody`].
    pub cut_body: f64,
    /// [`Fault::Hang`].
    pub hang: f64,
    /// [`Fault::Reset`].
    pub reset: f64,
    /// Any [`Fault::FailureInside`].
    pub failure_inside: f64,
    /// [`Fault::RepeatedRow`].
    pub repeated_row: f64,
    /// [`Fault::ShiftedRows`] by one or two rows, either way.
    pub shifted_rows: f64,
}

impl FaultRates {
    /// Every fault that a client survives without waiting for a timeout, each with this probability.
    pub fn all(rate: f64) -> Self {
        Self {
            too_many: rate,
            too_many_seconds: rate,
            too_many_date: rate,
            server_error: rate,
            bad_gateway: rate,
            cut_body: rate,
            hang: 0.0,
            reset: rate,
            failure_inside: rate,
            repeated_row: rate,
            shifted_rows: rate,
        }
    }

    /// The faults of [`all`](Self::all), evenly, so that together this share of the requests meets one.
    pub fn share(share: f64) -> Self {
        Self::all(share / 10.0)
    }

    /// The fault of the request with this number, if any.
    fn roll(&self, seed: u64, number: u64) -> Fault {
        let mut dice = Dice::of(&[seed, 6, number]);
        let inside = [
            FailureInside::StatusZero,
            FailureInside::StatusFailed,
            FailureInside::StatusError,
            FailureInside::NoResults,
        ][dice.below(4)];
        let shift = [-2, -1, 1, 2][dice.below(4)];
        let mut left = dice.unit();
        let likely = [
            (self.too_many, Fault::TooManyRequests(RetryAfter::Silent)),
            (self.too_many_seconds, Fault::TooManyRequests(RetryAfter::Seconds(1))),
            (self.too_many_date, Fault::TooManyRequests(RetryAfter::Date(1))),
            (self.server_error, Fault::ServerError),
            (self.bad_gateway, Fault::BadGateway),
            (self.cut_body, Fault::CutBody),
            (self.hang, Fault::Hang),
            (self.reset, Fault::Reset),
            (self.failure_inside, Fault::FailureInside(inside)),
            (self.repeated_row, Fault::RepeatedRow),
            (self.shifted_rows, Fault::ShiftedRows(shift)),
        ];
        for (rate, fault) in likely {
            left -= rate;
            if left < 0.0 {
                return fault;
            }
        }
        Fault::Nothing
    }
}

/// What goes wrong next: first what was scripted, then chance.
#[derive(Debug)]
pub(super) struct FaultPlan {
    seed: u64,
    requests: u64,
    pub(super) rates: FaultRates,
    pub(super) script: VecDeque<(Fault, u64)>,
}

impl FaultPlan {
    pub(super) fn new(seed: u64, rates: FaultRates) -> Self {
        Self { seed, requests: 0, rates, script: VecDeque::new() }
    }

    /// The fault of the next request.
    pub(super) fn next(&mut self) -> Fault {
        self.requests += 1;
        while let Some((fault, left)) = self.script.front_mut() {
            if *left > 0 {
                *left -= 1;
                return *fault;
            }
            self.script.pop_front();
        }
        self.rates.roll(self.seed, self.requests)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_before_chance_and_chance_follows_the_seed() {
        let run = |seed| {
            let mut plan = FaultPlan::new(seed, FaultRates::all(0.05));
            plan.script.extend([(Fault::Nothing, 2), (Fault::Reset, 0), (Fault::Hang, 1)]);
            (0..500).map(|_| plan.next()).collect::<Vec<_>>()
        };
        let faults = run(1);
        assert_eq!(faults[..3], [Fault::Nothing, Fault::Nothing, Fault::Hang]);
        assert_eq!(faults, run(1));
        assert_ne!(faults, run(2));
        assert!(!faults[3..].contains(&Fault::Hang));
        let wrong = faults.iter().filter(|fault| **fault != Fault::Nothing).count();
        assert!((150..350).contains(&wrong), "{wrong}");
    }

    #[test]
    fn nothing_goes_wrong_by_default() {
        let mut plan = FaultPlan::new(1, FaultRates::default());
        assert!((0..1000).all(|_| plan.next() == Fault::Nothing));
    }
}
