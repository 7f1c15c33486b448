//! How the page looks.

/// The style sheet, which stands within the page; the policy of the page allows this one and no other.
pub const STYLE: &str = include_str!("style.css");
