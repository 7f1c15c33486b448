//! Whether the checkpoint can stand where it is to stand; nothing is made or changed to find out.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};

/// # Errors
///
/// What stands in the way, and the way out.
pub(super) fn look_at(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("it is a folder; the path of a file is wanted".to_owned()),
        Ok(found) if !found.is_file() => Err("it is no plain file".to_owned()),
        Ok(_) => may(path, Access::READ_OK | Access::WRITE_OK)
            .map_err(|error| format!("the file cannot be read and written: {error}")),
        Err(_) => look_at_folder(path),
    }
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

    #[test]
    fn a_place_is_told_from_what_is_none() {
        let folder = std::env::temp_dir().join(format!("jelou-exporter-place-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("state.db");
        let why = |path: &Path| look_at(path).unwrap_err();
        assert_eq!(look_at(&file), Ok(()));
        assert!(!file.exists(), "looking makes nothing");
        assert_eq!(look_at(Path::new("state.db")), Ok(()));
        assert!(why(&folder).starts_with("it is a folder"));
        assert!(why(&folder.join("no/state.db")).contains("/no cannot be found: "));
        fs::write(&file, "").unwrap();
        assert_eq!(look_at(&file), Ok(()));
        assert!(why(&file.join("state.db")).ends_with("state.db is no folder"));
        assert!(why(Path::new("/dev/null")).starts_with("it is no plain file"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
