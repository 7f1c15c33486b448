//! What a command changes about the settings: other defaults, and what it takes no setting for.

/// How one command reads the settings.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Whether the upstream's credentials must be there.
    pub(super) needs_credentials: bool,
    /// Whether nothing that is said about `api.*` holds, because no real API is asked.
    pub(super) without_api: bool,
    /// Whether it is looked at if the checkpoint can stand where it is to stand, and what is in it.
    pub(super) looks_at_place: bool,
    /// Whether metrics go nowhere but where a flag says: what is invented must reach no receiver of what is real by an
    /// environment or a file that lies about.
    pub(super) pushes_by_flag_alone: bool,
    /// What the command itself decides, whatever anybody says.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    /// What holds in place of the usual default.
    pub(super) defaults: &'static [(&'static str, &'static str)],
}

/// The API of `demo`. The application puts the simulator's address in; until then the port is 0, where nothing listens,
/// so that no slip can send invented credentials to the real API.
const SIMULATED: &[(&str, &str)] = &[
    ("api.url", "http://127.0.0.1:0"),
    ("api.client_id", "demo"),
    ("api.client_secret", "demo"),
    ("api.requests_per_second", "200"),
    ("api.account", "demo"),
    ("poll.count_initial", "true"),
    ("state.path", ""),
];

impl Profile {
    /// `run`, which finds out about the place of its checkpoint when it opens it.
    pub const RUN: Self = Self {
        needs_credentials: true,
        without_api: false,
        looks_at_place: false,
        pushes_by_flag_alone: false,
        fixed: &[],
        defaults: &[],
    };

    /// `check-config`.
    pub const CHECK: Self = Self { looks_at_place: true, ..Self::RUN };

    /// `once`: one poll in memory, whose history counts, for there is nothing else to show.
    pub const ONCE: Self =
        Self { fixed: &[("otlp.traces", "false"), ("poll.count_initial", "true"), ("state.path", "")], ..Self::RUN };

    /// `demo`: everything on loopback, soon to be seen, whatever credentials lie about.
    pub const DEMO: Self = Self {
        needs_credentials: false,
        without_api: true,
        looks_at_place: false,
        pushes_by_flag_alone: true,
        fixed: SIMULATED,
        defaults: &[("poll.interval", "2s"), ("otlp.interval", "5s"), ("web.listen_address", "127.0.0.1:10110")],
    };

    /// `simulate`: of the settings only those of the log matter.
    pub const SIMULATE: Self = Self { defaults: &[], ..Self::DEMO };

    /// What the command decides, whatever anybody says, in words for its help.
    pub(crate) fn decided(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let api = self.without_api.then_some(("api.*", "that of the simulated API"));
        let fixed = self.fixed.iter().copied().filter(|(key, _)| !(self.without_api && key.starts_with("api.")));
        api.into_iter().chain(fixed)
    }

    /// What holds in place of the usual default.
    pub(crate) const fn defaults(&self) -> &'static [(&'static str, &'static str)] {
        self.defaults
    }

    /// Whether the command takes no setting for this key.
    pub(super) fn ignores(&self, key: &str) -> bool {
        self.without_api && key.starts_with("api.") || self.fixed.iter().any(|(fixed, _)| *fixed == key)
    }
}
