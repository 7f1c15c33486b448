//! Whether the checkpoint can stand where it is to stand, and be read if it does; nothing is made or changed to find out.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::store::{self, Seen};

/// What is worth knowing about a place that can be used.
///
/// # Errors
///
/// What stands in the way, and the way out.
pub(super) fn look_at(path: &Path, account: &str) -> Result<Option<String>, String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("it is a folder; the path of a file is wanted".to_owned()),
        Ok(found) if !found.is_file() => Err("it is no plain file".to_owned()),
        Ok(_) => {
            may(path, Access::READ_OK | Access::WRITE_OK)
                .map_err(|error| format!("the file cannot be read and written: {error}"))?;
            look_inside(path, account)
        }
        Err(_) => look_at_folder(path).map(|()| None),
    }
}

fn look_inside(path: &Path, account: &str) -> Result<Option<String>, String> {
    let (name, seen) = (path.display(), store::look(path, account).map_err(|error| error.to_string())?);
    Ok(match seen {
        Seen::State => None,
        Seen::OtherAccounts => Some(format!(
            "the checkpoint {name} holds nothing of the account {account:?} (api.account): for this one counting begins anew"
        )),
        Seen::InUse => Some(format!(
            "the checkpoint {name} is in use, as by an exporter that runs: what is in it was not looked at, and a second \
             exporter cannot use it meanwhile"
        )),
    })
}

fn look_at_folder(path: &Path) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = folder.display();
    match fs::metadata(folder) {
        Ok(found) if !found.is_dir() => Err(format!("{name} is no folder")),
        Ok(_) => may(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|error| format!("no file can be made in the folder {name}: {error}")),
        Err(error) => Err(format!("the folder {name} cannot be found: {error}; make it, or name another")),
    }
}

fn may(path: &Path, what: Access) -> Result<(), std::io::Error> {
    access(path, what).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_place_is_told_from_what_is_none() {
        let folder = std::env::temp_dir().join(format!("jelou-exporter-place-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("state.db");
        let look_at = |path: &Path| look_at(path, "acme");
        let why = |path: &Path| look_at(path).unwrap_err();
        assert_eq!(look_at(&file), Ok(None));
        assert!(!file.exists(), "looking makes nothing");
        assert_eq!(look_at(Path::new("state.db")), Ok(None));
        assert!(why(&folder).starts_with("it is a folder"));
        assert!(why(&folder.join("no/state.db")).contains("/no cannot be found: "));
        fs::write(&file, "").unwrap();
        assert!(why(&file).contains("cannot be read (it is empty)"), "{}", why(&file));
        fs::remove_file(&file).unwrap();
        let store = Store::open(&file, "other").unwrap();
        assert!(look_at(&file).unwrap().unwrap().contains("is in use"));
        drop(store);
        assert!(look_at(&file).unwrap().unwrap().contains("nothing of the account \"acme\" (api.account)"));
        assert!(why(&file.join("state.db")).ends_with("state.db is no folder"));
        assert!(why(Path::new("/dev/null")).starts_with("it is no plain file"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
