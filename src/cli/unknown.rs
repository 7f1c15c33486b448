//! What is said of flags that there are none of.

use clap::error::{ContextKind, ContextValue};

use crate::config::nearest::meant;
use crate::config::settings::{SETTINGS, Setting, setting};

const CONFIG_FILE: &str = "config.file";

/// What to say of an unknown flag: the parser's guesses go by the look of the whole name, and miss a right key in a wrong
/// section. `None` where the parser knows better.
pub(super) fn flag(error: &clap::Error) -> Option<String> {
    // It is a flag of a command, and stands before that.
    if error.get(ContextKind::SuggestedSubcommand).is_some() || error.get(ContextKind::Suggested).is_some() {
        return None;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = given.strip_prefix("--")?;
    if name.starts_with("simulator") {
        return None;
    }
    let named = meant(name, SETTINGS.iter().map(|setting| setting.key).chain([CONFIG_FILE]));
    if let Some(secret) = named.iter().filter_map(|key| setting(key)).find(|setting| setting.secret) {
        return Some(without_flag(secret));
    }
    let flags: Vec<String> = named.iter().map(|key| format!("'--{}'", key.replace('_', "-"))).collect();
    let instead = match &flags[..] {
        [] => String::new(),
        flags => format!("\n\n  tip: did you mean {}?", flags.join(" or ")),
    };
    Some(format!("error: unexpected argument '{given}' found{instead}\n\nFor more information, try '--help'."))
}

/// Why a secret cannot be given as a flag, and how it can.
pub(super) fn without_flag(secret: &Setting) -> String {
    let (key, env) = (secret.key, secret.env());
    format!(
        "error: {key} has no flag, for every user of a machine can read its command lines; \
         set {env}, {key} in the file, or {key}_file"
    )
}
