//! Text that people keep in files and folders, such as policies. Reads only what it is pointed at, in order of name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file at `path`; or every file with this ending in the folder at `path`, not deeper. Each with its path.
pub fn read(path: &Path, ending: &str) -> Result<Vec<(PathBuf, String)>, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(at(path))?;
        files = entries.iter().map(fs::DirEntry::path).collect();
        files.retain(|file| file.extension().is_some_and(|found| found == ending));
        files.sort();
    }
    let text = |file: PathBuf| Ok((file.clone(), fs::read_to_string(&file).map_err(at(&file))?));
    files.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files_of_one_ending_in_order_and_a_file_is_itself() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.cedar", "a.cedar", "notes.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("deeper")).unwrap();
        let texts = |path: &Path| {
            read(path, "cedar")
                .unwrap()
                .into_iter()
                .map(|(_, text)| text)
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(folder.path()), ["a.cedar", "b.cedar"]);
        assert_eq!(texts(&folder.path().join("notes.txt")), ["notes.txt"]);
        let (path, error) = read(&folder.path().join("none.cedar"), "cedar").unwrap_err();
        assert_eq!(
            (path.ends_with("none.cedar"), error.kind()),
            (true, io::ErrorKind::NotFound)
        );
        fs::write(folder.path().join("c.cedar"), [0xff]).unwrap();
        assert!(read(folder.path(), "cedar").unwrap_err().0.ends_with("c.cedar"));
    }
}
