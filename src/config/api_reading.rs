//! Reads the section `api`: above all, whether the credentials can work.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::api::{ApiSettings, AuthScheme, Dialect};
use super::given::quoted;
use super::nearest::did_you_mean;
use super::reader::{LONGER_THAN_ZERO, Reader};
use super::secret::Secret;
use super::values::{base_url, is_loopback, line, url_path, whole};
use crate::tls::{self, TlsError, TlsFiles, TlsTexts};

/// Reads the section. Without `needs_credentials` they may be missing.
pub(super) fn read(from: &mut Reader<'_>, needs_credentials: bool) -> Option<ApiSettings> {
    let url = from.value("api.url", base_url);
    let dialect = from.choice("api.dialect", Dialect::named);
    let path = from.optional("api.path", url_path);
    let client_id = client_id(from);
    let auth = from.choice("api.auth", AuthScheme::named);
    let client_secret = client_secret(from, auth);
    let client_secret_file = from.optional("api.client_secret_file", |text| Ok(text.trim().into()));
    let mut file = |key| from.optional(key, |text| Ok(PathBuf::from(text.trim())));
    let [ca_file, client_certificate_file, client_key_file] = [CA_FILE, CERTIFICATE_FILE, KEY_FILE].map(&mut file);
    if needs_credentials {
        certificates(from, url.as_deref(), [&ca_file, &client_certificate_file, &client_key_file]);
        credentials(from, auth);
        if url.as_deref().is_some_and(is_overheard) {
            let what = "api.url is http:// to another machine: the credentials travel unencrypted; write https:// if the API can be reached so";
            from.warnings.push(what.to_owned());
        }
    }
    let timezone = from.value("api.timezone", timezone);
    let page_size = from.value("api.page_size", |text| whole(text, 1..=1000));
    let timeout = from.duration("api.timeout", LONGER_THAN_ZERO);
    let requests_per_second = from.value("api.requests_per_second", rate);
    let account = from.value("api.account", line);
    let (timezone, timezone_name) = timezone?;
    Some(ApiSettings {
        url: url?,
        dialect: dialect?,
        path: path?,
        client_id: client_id?,
        client_secret: client_secret?,
        client_secret_file: client_secret_file?,
        ca_file: ca_file?,
        client_certificate_file: client_certificate_file?,
        client_key_file: client_key_file?,
        auth: auth?,
        timezone,
        timezone_name,
        page_size: page_size?,
        timeout: timeout?,
        requests_per_second: requests_per_second?,
        account: account?,
    })
}

/// Whether what is sent there can be read on its way.
fn is_overheard(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

fn client_id(from: &mut Reader<'_>) -> Option<Option<String>> {
    // Not shown: a colon means that the secret was pasted along.
    if from.given("api.client_id").is_some_and(|given| given.text.contains(':')) {
        from.refuse_unseen("api.client_id", "it holds a colon; the part after it belongs in api.client_secret");
        return None;
    }
    let Some(given) = from.given("api.client_id") else { return Some(None) };
    let id = match line(&given.text) {
        Ok(id) if id.is_ascii() => return Some(Some(id)),
        Ok(_) => "only ASCII can be sent".to_owned(),
        Err(what) => what,
    };
    // Nor is any other that cannot be one: the secret may stand in its next line.
    from.refuse_unseen("api.client_id", id);
    None
}

fn client_secret(from: &mut Reader<'_>, auth: Option<AuthScheme>) -> Option<Option<Secret>> {
    from.optional("api.client_secret", |text| usable_secret(text, auth).map(|secret| Secret::new(secret.to_owned())))
}

/// A secret without the line end that editors and `echo` leave behind it.
pub(crate) fn usable_secret(text: &str, auth: Option<AuthScheme>) -> Result<&str, String> {
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if secret.chars().any(char::is_control) {
        return Err("a secret of one line is wanted".to_owned());
    }
    if auth == Some(AuthScheme::Raw) && !secret.is_ascii() {
        return Err("only ASCII can be sent with api.auth raw".to_owned());
    }
    Ok(secret)
}

/// Checks that an id and exactly one secret are there.
fn credentials(from: &mut Reader<'_>, auth: Option<AuthScheme>) {
    if from.given("api.client_id").is_none() && !from.is_refused("api.client_id") {
        from.refuse_unseen("api.client_id", "it is missing: set JELOU_EXPORTER_API_CLIENT_ID (demo needs none)");
    }
    let secret = from.given("api.client_secret").is_some();
    let file = from.given("api.client_secret_file").map(|given| given.text.trim().to_owned());
    match file {
        Some(_) if secret => {
            from.refuse("api.client_secret_file", "api.client_secret is given too; keep one and set the other to \"\"");
        }
        Some(path) => match from.file(path.as_ref()) {
            Err(error) => from.refuse("api.client_secret_file", format!("the file cannot be read: {error}")),
            Ok(text) => {
                let text = Zeroizing::new(text);
                if let Err(why) = usable_secret(&text, auth) {
                    from.refuse("api.client_secret_file", format!("what the file holds cannot be used: {why}"));
                }
            }
        },
        None if secret || from.is_refused("api.client_secret") || from.is_refused("api.client_secret_file") => {}
        None => {
            let env = "JELOU_EXPORTER_API_CLIENT_SECRET";
            let what = format!("it is missing: set {env} or api.client_secret_file");
            from.refuse_unseen("api.client_secret", what);
        }
    }
}

const CA_FILE: &str = "api.ca_file";
const CERTIFICATE_FILE: &str = "api.client_certificate_file";
const KEY_FILE: &str = "api.client_key_file";

/// Whether the files of TLS can be used.
fn certificates(from: &mut Reader<'_>, url: Option<&str>, files: [&Option<Option<PathBuf>>; 3]) {
    let [authorities, certificate, key] = files.map(|file| file.clone().flatten());
    match (&certificate, &key) {
        (Some(_), None) => from.refuse(CERTIFICATE_FILE, format!("{KEY_FILE} is wanted with it")),
        (None, Some(_)) => from.refuse(KEY_FILE, format!("{CERTIFICATE_FILE} is wanted with it")),
        _ => {}
    }
    let files = TlsFiles { authorities, identity: certificate.zip(key) };
    if files.is_empty() {
        return;
    }
    look_inside(from, &files);
    if url.is_some_and(|url| !url.starts_with("https://")) {
        let what = "api.ca_file and api.client_certificate_file have no effect: api.url is no https URL";
        from.warnings.push(what.to_owned());
    }
}

fn look_inside(from: &mut Reader<'_>, files: &TlsFiles) {
    let mut text = |key, path: &Path| match from.file(path) {
        Ok(text) => Some(text),
        Err(error) => {
            from.refuse(key, format!("the file cannot be read: {error}"));
            None
        }
    };
    let authorities = files.authorities.as_ref().and_then(|path| text(CA_FILE, path));
    let own = files.identity.as_ref().and_then(|(certificate, key)| {
        let (certificate, key) = (text(CERTIFICATE_FILE, certificate), text(KEY_FILE, key));
        certificate.zip(key.map(Zeroizing::new))
    });
    // One after the other, so that what is wrong with both comes out at once.
    for texts in [TlsTexts { authorities, identity: None }, TlsTexts { authorities: None, identity: own }] {
        match tls::config_with(&texts, &[]) {
            Ok(_) => {}
            Err(TlsError::Authorities(why)) => from.refuse(CA_FILE, why),
            Err(TlsError::Certificate(why)) => from.refuse(CERTIFICATE_FILE, why),
            Err(TlsError::Key(why)) => from.refuse(KEY_FILE, why),
        }
    }
}

fn timezone(text: &str) -> Result<(TimeZone, String), String> {
    let text = line(text)?;
    match TimeZone::get(&text) {
        Ok(zone) => {
            // The database knows names in any case; the header takes the proper one.
            let name = zone.iana_name().unwrap_or(&text).to_owned();
            Ok((zone, name))
        }
        // The nearest name would be that of another offset.
        Err(_) if text.contains(['+', '-']) && text.contains(|c: char| c.is_ascii_digit()) => {
            Err("the name of a zone is wanted, like America/Guayaquil, not an offset".to_owned())
        }
        Err(_) => {
            let instead =
                zone_of(&text).unwrap_or_else(|| "names are those of the IANA, like America/Guayaquil".to_owned());
            Err(format!("no time zone of this name is known; {instead}"))
        }
    }
}

/// Places that people name and that have no zone of that name.
const PLACES: &[(&str, &str)] = &[
    ("argentina", "America/Argentina/Buenos_Aires"),
    ("bolivia", "America/La_Paz"),
    ("brasil", "America/Sao_Paulo"),
    ("brasilia", "America/Sao_Paulo"),
    ("brazil", "America/Sao_Paulo"),
    ("chile", "America/Santiago"),
    ("colombia", "America/Bogota"),
    ("ecuador", "America/Guayaquil"),
    ("mexico", "America/Mexico_City"),
    ("peru", "America/Lima"),
    ("quito", "America/Guayaquil"),
    ("spain", "Europe/Madrid"),
    ("uruguay", "America/Montevideo"),
    ("venezuela", "America/Caracas"),
];

/// `did you mean "America/Lima"?`: the zones that were probably meant, if any is alike.
fn zone_of(text: &str) -> Option<String> {
    let told = |zone: &str| format!("did you mean {}?", quoted(zone));
    let spelt = text.replace([' ', '-'], "_");
    if let Ok(zone) = TimeZone::get(&spelt) {
        return zone.iana_name().map(told);
    }
    let place = spelt.rsplit('/').next().unwrap_or_default().to_lowercase();
    if let Some((_, zone)) = PLACES.iter().find(|(name, _)| *name == place) {
        return Some(told(zone));
    }
    let zones: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    did_you_mean(&spelt, zones.iter().map(String::as_str), quoted)
}

/// The slowest budget that is taken: one request an hour and a half. Slower ones are slips, and overflow delays.
const SLOWEST: f64 = 0.000_2;

fn rate(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= SLOWEST => Ok(rate),
        Ok(rate) if rate.is_finite() && rate > 0.0 => Err(format!("it must be at least {SLOWEST}")),
        _ => Err("a number above 0 is wanted, like 2 or 0.5".to_owned()),
    }
}
