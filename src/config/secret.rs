//! A value that must not be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A credential. `Debug` and `Display` show `<secret>`, and it cannot be serialized; [`Secret::expose`] is the one way out.
/// Its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// What is printed in place of a secret.
    pub const SHOWN: &'static str = "<secret>";

    /// Wraps a credential.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The credential itself, for the request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)), "<secret> <secret> Some(\n    <secret>,\n)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
