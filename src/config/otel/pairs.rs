//! Lists of `key=value` as W3C baggage writes them, which is how headers and resource attributes are given.

/// `key=value` pairs with commas between, both percent-encoded; the number of the entry where one is not.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Result<(String, String), usize>> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate().map(|(index, entry)| {
        let pair = entry.split_once('=').and_then(|(key, value)| Some((decoded(key.trim())?, decoded(value.trim())?)));
        pair.filter(|(key, _)| !key.is_empty()).ok_or(index + 1)
    })
}

/// Text whose `%2C` and the like are resolved.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}
