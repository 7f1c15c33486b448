//! What is asked for when.

use super::slow::SLICE_PAGES;
use super::*;

const SETTINGS: PlanSettings =
    PlanSettings { interval: 60, overlap: 600, horizon: 7 * 86_400, sweep_interval: 6 * 3600, initial_lookback: DAY };
const DAY: i64 = 86_400;

fn at(second: i64) -> Clocks {
    Clocks { now: UnixMillis::from_seconds(second), offset: Some(0) }
}

/// The newest stretch, where the clocks agree on it.
fn only(plan: &Plan, clocks: Clocks) -> Range {
    let [newest] = plan.newest(clocks, true)[..] else { panic!("{clocks:?}") };
    newest
}

fn read_newest(plan: &mut Plan, clocks: Clocks) {
    let counting = plan.is_gapless();
    let newest = plan.newest(clocks, counting);
    plan.newest_read(&newest, clocks, counting);
}

/// A plan whose initial range, the day before `now`, has been read.
fn settled(now: i64) -> Plan {
    let mut plan = Plan::new(SETTINGS, now - DAY);
    read_newest(&mut plan, at(now));
    while let Some(slice) = plan.catch_up(at(now).now) {
        plan.slice_walked(slice, SliceEnd::Complete, SLICE_PAGES, at(now));
    }
    assert!(plan.is_gapless());
    plan
}

#[test]
fn the_newest_stretch_is_the_overlap() {
    assert_eq!(only(&settled(DAY * 10), at(DAY * 10 + 60)), Range::new(DAY * 10 - 540, DAY * 10 + 60));
}

#[test]
fn an_initial_range_of_nothing_is_read_by_the_first_walk() {
    let mut plan = Plan::new(SETTINGS, DAY * 10);
    assert!(!plan.is_gapless());
    let newest = plan.newest(at(DAY * 10), false);
    assert_eq!(newest, [Range::new(DAY * 10, DAY * 10)]);
    plan.newest_read(&newest, at(DAY * 10), false);
    assert!(plan.is_gapless());
}

#[test]
fn a_late_poll_joins_what_was_read_before() {
    let plan = settled(DAY * 10);
    let start = |after: i64| only(&plan, at(DAY * 10 + after)).start - DAY * 10;
    assert_eq!(start(600), 0);
    assert_eq!(
        start(700),
        -600,
        "a gap of 100 s is read along, and once more what may have been listed late before it"
    );
    assert_eq!(start(7200), 6600, "two hours are left to catch-up");
}

#[test]
fn data_complete_stands_still_at_a_gap_until_it_is_closed() {
    let mut plan = settled(DAY * 10);
    let now = DAY * 10 + 7200;
    read_newest(&mut plan, at(now));
    assert_eq!(plan.complete_until().seconds(), DAY * 10);
    let first = plan.catch_up(at(now).now).unwrap();
    assert_eq!(first.range.start, DAY * 10 - 600, "what was listed late around the stop is read again");
    while let Some(slice) = plan.catch_up(at(now).now) {
        plan.slice_walked(slice, SliceEnd::Complete, 1, at(now));
    }
    assert_eq!(plan.complete_until().seconds(), now);
}

#[test]
fn a_gap_is_read_once_however_many_slices_it_takes() {
    for restored in [false, true] {
        let mut plan = settled(DAY * 10);
        if restored {
            plan = Plan::restore(SETTINGS, plan.kept()).unwrap();
        }
        let now = DAY * 10 + 7200;
        read_newest(&mut plan, at(now));
        let mut reached = DAY * 10 - SETTINGS.overlap;
        while let Some(slice) = plan.catch_up(at(now).now) {
            assert_eq!(slice.range.start, reached);
            reached = slice.range.end;
            // So many pages that the slices become as narrow as they may.
            plan.slice_walked(slice, SliceEnd::Complete, 100, at(now));
        }
        assert_eq!(reached, now - SETTINGS.overlap);
    }
}

#[test]
fn data_complete_never_passes_the_clock_that_is_behind() {
    let mut plan = settled(DAY * 10);
    let ahead = Clocks { now: UnixMillis::from_seconds(DAY * 10 + 3600), offset: Some(-3_540_000) };
    let newest = plan.newest(ahead, true);
    assert_eq!(newest.last().unwrap().end, DAY * 10 + 3600);
    plan.newest_read(&newest, ahead, true);
    assert_eq!(plan.complete_until().seconds(), DAY * 10 + 60);
}

#[test]
fn a_gap_that_passes_the_horizon_is_given_up() {
    let mut plan = settled(DAY * 10);
    let now = UnixMillis::from_seconds(DAY * 18);
    read_newest(&mut plan, at(DAY * 18));
    assert_eq!(plan.give_up_old_gaps(now), DAY);
    assert_eq!(plan.give_up_old_gaps(now), 0);
    assert_eq!(plan.catch_up(now).unwrap().range.start, DAY * 11);
}

#[test]
fn a_gap_that_cannot_be_closed_does_not_hold_up_the_others() {
    let mut plan = settled(DAY * 10);
    let now = DAY * 10 + 7200;
    read_newest(&mut plan, at(now));
    let stuck = plan.catch_up(at(now).now).unwrap();
    plan.slice_walked(stuck, SliceEnd::Unreadable, 1, at(now));
    let next = plan.catch_up(at(now).now).unwrap();
    assert_eq!(next.range.start, stuck.range.end);
}

#[test]
fn floor_no_range_begins_before_it() {
    let mut plan = settled(DAY * 10);
    plan.raise_floor(DAY * 10 - 100);
    assert_eq!(only(&plan, at(DAY * 10 + 60)).start, DAY * 10 - 100);
    // Whatever the clock says.
    assert_eq!(plan.oldest(UnixMillis::from_seconds(DAY)), DAY * 10 - 100);
    plan.raise_floor(5);
    assert_eq!(plan.oldest(UnixMillis::from_seconds(DAY)), DAY * 10 - 100);
}

#[test]
fn a_sweep_reads_everything_back_to_the_horizon_in_slices() {
    let mut plan = settled(DAY * 10);
    assert_eq!(plan.sweep(at(DAY * 10).now), None);
    let now = DAY * 10 + SETTINGS.sweep_interval;
    let mut cursor = DAY * 9;
    while let Some(slice) = plan.sweep(at(now).now) {
        assert_eq!(slice.range.start, cursor, "slices share their border second");
        cursor = slice.range.end;
        let over = plan.slice_walked(slice, SliceEnd::Complete, 1, at(now));
        assert_eq!(over, cursor == now - SETTINGS.overlap);
    }
    assert_eq!(cursor, now - SETTINGS.overlap);
    assert_eq!(plan.sweep(at(now).now), None, "the next one is not due");
}

#[test]
fn floor_ids_are_forgotten_only_while_the_clocks_agree() {
    let plan = settled(DAY * 10);
    let apart = Clocks { offset: Some(5 * 60 * 1000 + 1), ..at(DAY * 10) };
    assert_eq!(plan.forget_before(apart), None);
    assert_eq!(plan.forget_before(Clocks { offset: None, ..apart }), None);
    assert_eq!(plan.forget_before(at(DAY * 10)), Some(DAY * 3));
    assert_eq!(plan.forget_before(at(DAY * 10 + 60)), Some(DAY * 3 + 60));
}

#[test]
fn a_gap_before_the_floor_does_not_hold_up_the_others() {
    let mut plan = settled(DAY * 10);
    plan.read(Range::new(DAY * 10 + 3600, DAY * 10 + 7200), at(DAY * 11));
    read_newest(&mut plan, at(DAY * 11));
    plan.raise_floor(DAY * 10 + 3700);
    let slice = plan.catch_up(at(DAY * 11).now).unwrap();
    assert_eq!(slice.range.start, DAY * 10 + 7200);
}

#[test]
fn a_sweep_whose_end_has_passed_the_horizon_gives_way_to_the_next() {
    let mut plan = settled(DAY * 10);
    plan.sweep(at(DAY * 10).now);
    let now = DAY * 10 + SETTINGS.sweep_interval;
    plan.sweep(at(now).now).unwrap();
    let later = at(now + SETTINGS.horizon + DAY).now;
    plan.sweep(later);
    assert!(plan.sweep(later + SETTINGS.sweep_interval * 1000).is_some());
}

#[test]
fn borders_are_shared_by_the_parts_of_a_range() {
    let mut plan = settled(DAY * 10);
    plan.too_wide(Range::new(0, 600));
    assert_eq!(plan.parts(Range::new(0, 700)), [Range::new(0, 300), Range::new(300, 600), Range::new(600, 700)]);
    plan.too_wide(Range::new(0, 80));
    assert_eq!(plan.parts(Range::new(0, 60)), [Range::new(0, 60)], "never below one minute");
}

#[test]
fn too_wide_ranges_are_never_divided_below_one_minute() {
    assert_eq!(halves(Range::new(0, 60)), None);
    for width in 61..400 {
        let whole = Range::new(7, 7 + width);
        let [first, second] = halves(whole).unwrap();
        assert_eq!((first.start, second.end), (whole.start, whole.end));
        assert!(second.start <= first.end, "{first} {second}");
        assert!(
            first.width().min(second.width()) >= 60 && first.width().max(second.width()) < width,
            "{first} {second}"
        );
        for widest in [120, 150, 600] {
            let mut plan = settled(DAY * 10);
            plan.too_wide(Range::new(0, widest));
            let parts = plan.parts(whole);
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (whole.start, whole.end));
            assert!(parts.windows(2).all(|two| two[1].start <= two[0].end), "{parts:?}");
            assert!(parts.iter().all(|part| (60..=widest / 2).contains(&part.width())), "{parts:?}");
        }
    }
}

#[test]
fn initial_range_begins_no_later_than_the_upstreams_clock_says() {
    let (right, ahead) = (DAY * 10, DAY * 12);
    let told = Clocks { now: UnixMillis::from_seconds(ahead), offset: Some(-2 * DAY * 1000) };
    // A process of today, and one that goes on from a state which was spoilt so before.
    let spoilt = Plan::restore(SETTINGS, Plan::new(SETTINGS, ahead - 600).kept()).unwrap();
    for mut plan in [Plan::new(SETTINGS, ahead - DAY), spoilt] {
        assert!(plan.begins() > right);
        assert_eq!(plan.begin_by(told), Some(right - DAY));
        assert_eq!((plan.begins(), plan.begin_by(told)), (right - DAY, None));
        read_newest(&mut plan, told);
        while let Some(slice) = plan.catch_up(told.earlier()) {
            assert!(slice.range.start >= right - DAY);
            plan.slice_walked(slice, SliceEnd::Complete, 1, told);
        }
        assert!(plan.is_gapless());
        assert_eq!(plan.complete_until().seconds(), right);
        // What was read is not read again because a clock goes astray.
        assert_eq!(plan.begin_by(at(DAY * 10 - 60)), None);
    }
}

#[test]
fn floor_is_not_lowered_by_where_reading_begins() {
    let mut plan = Plan::new(SETTINGS, DAY * 10);
    plan.raise_floor(DAY * 10 + 5);
    assert_eq!(plan.begin_by(at(DAY * 9)), None);
}

#[test]
fn the_newest_stretches_span_no_more_than_the_overlap_where_the_clocks_are_far_apart() {
    let behind = Clocks { now: UnixMillis::from_seconds(DAY * 10), offset: Some(60 * DAY * 1000) };
    let around = |second: i64| Range::new(second - 600, second);
    let mut plan = settled(DAY * 10);
    assert_eq!(plan.newest(behind, true), [around(DAY * 10), around(DAY * 70)]);
    plan.newest_read(&plan.newest(behind, true), behind, true);
    assert_eq!(plan.newest(behind, true), [around(DAY * 10), around(DAY * 70)]);
    // Close together they are one.
    let near = Clocks { offset: Some(600_000), ..behind };
    assert_eq!(plan.newest(near, true), [Range::new(DAY * 10 - 600, DAY * 10 + 600)]);
}

#[test]
fn zero_line_takes_in_what_lies_between_the_clocks_back_to_the_horizon() {
    let mut plan = Plan::new(SETTINGS, DAY * 9);
    let behind = |days: i64| Clocks { now: UnixMillis::from_seconds(DAY * 10), offset: Some(days * DAY * 1000) };
    assert_eq!(plan.newest(behind(2), false), [Range::new(DAY * 10 - 600, DAY * 12)]);
    let newest = plan.newest(behind(60), false);
    assert_eq!(newest, [Range::new(DAY * 10 - 600, DAY * 10), Range::new(DAY * 63, DAY * 70)]);
    assert!(plan.are_newest(&newest, behind(60)));
    assert!(!plan.are_newest(&plan.newest(at(DAY * 10), false), behind(60)), "it turned out as it was read");
    assert_eq!(plan.begin_by(behind(60)), None);
}

#[test]
fn data_complete_goes_on_from_what_was_read_by_the_clock_that_was_right() {
    let behind = |second: i64| Clocks { now: UnixMillis::from_seconds(second), offset: Some(60 * DAY * 1000) };
    for later_was_right in [true, false] {
        let mut plan = Plan::new(SETTINGS, DAY * 9);
        read_newest(&mut plan, behind(DAY * 10));
        while let Some(slice) = plan.catch_up(behind(DAY * 10).earlier()) {
            plan.slice_walked(slice, SliceEnd::Complete, 1, behind(DAY * 10));
        }
        let minutes = 1..20;
        minutes.for_each(|minute| read_newest(&mut plan, behind(DAY * 10 + minute * 60)));
        assert_eq!(plan.complete_until().seconds(), DAY * 10 + 19 * 60, "it is not known yet");
        let now = if later_was_right { DAY * 70 + 20 * 60 } else { DAY * 10 + 20 * 60 };
        read_newest(&mut plan, at(now));
        plan.clocks_agree(later_was_right, at(now));
        assert_eq!(plan.give_up_old_gaps(at(now).now), 0);
        assert_eq!(plan.complete_until().seconds(), now);
        // A day later nothing is taken for read that was read before it happened.
        read_newest(&mut plan, at(DAY * 71));
        plan.clocks_agree(later_was_right, at(DAY * 71));
        assert!(plan.complete_until().seconds() <= now);
    }
}

/// A plan whose first sweep is due, and when that is.
fn sweeping() -> (Plan, i64) {
    let mut plan = settled(DAY * 10);
    assert_eq!(plan.sweep(at(DAY * 10).now), None);
    (plan, DAY * 10 + SETTINGS.sweep_interval)
}

#[test]
fn a_sweep_that_left_something_out_has_not_read_everything() {
    let (mut plan, now) = sweeping();
    let mut ends = [SliceEnd::Unreadable; 3].into_iter();
    let bad = plan.sweep(at(now).now).unwrap();
    while let Some(slice) = plan.sweep(at(now).now) {
        let end = ends.next().unwrap_or(SliceEnd::Complete);
        assert!(!plan.slice_walked(slice, end, 1, at(now)));
        assert!(end == SliceEnd::Complete || slice.range.start == bad.range.start, "thrice the same");
    }
    // The next one has.
    let now = now + SETTINGS.sweep_interval;
    let mut over = false;
    while let Some(slice) = plan.sweep(at(now).now) {
        assert!(!over);
        over = plan.slice_walked(slice, SliceEnd::Complete, 1, at(now));
    }
    assert!(over);
}

#[test]
fn a_sweep_waits_where_the_upstream_fails_as_a_whole() {
    let (mut plan, now) = sweeping();
    let first = plan.sweep(at(now).now).unwrap();
    for _ in 0..10 {
        assert!(!plan.slice_walked(first, SliceEnd::Interrupted, 1, at(now)));
        assert_eq!(plan.sweep(at(now).now), Some(first), "neither passed over nor made narrower");
    }
}

#[test]
fn a_slice_that_is_interrupted_for_its_length_is_made_shorter() {
    let (mut plan, now) = sweeping();
    let first = plan.sweep(at(now).now).unwrap();
    assert!(!plan.slice_walked(first, SliceEnd::Interrupted, 300, at(now)));
    assert_eq!(plan.sweep(at(now).now).unwrap().range.width(), (first.range.width() / 2).max(NARROWEST));
}

#[test]
fn a_sweep_that_was_under_way_when_the_process_ended_may_have_left_something_out() {
    let (mut plan, now) = sweeping();
    plan.sweep(at(now).now).unwrap();
    let mut plan = Plan::restore(SETTINGS, plan.kept()).unwrap();
    while let Some(slice) = plan.sweep(at(now).now) {
        assert!(!plan.slice_walked(slice, SliceEnd::Complete, 1, at(now)));
    }
}
