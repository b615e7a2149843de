//! The filters of a configuration that are built from a folder.

use std::path::{Path, PathBuf};

use sluice_config::plan::Source;

use crate::{
    load::{self, RunError},
    reload::{Files, module_path},
};

/// A filter that is built from a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterSource {
    /// Its name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Where its module is looked for.
    pub module: PathBuf,
}

/// The filters that have `source: { build: FOLDER }`, in the order of the file.
///
/// # Errors
/// [`RunError`] when the file cannot be read or understood.
pub fn sources(file: &Path) -> Result<Vec<FilterSource>, RunError> {
    let plan = load::plan(file, &Files::default())?;
    let built = plan.filters.iter().filter_map(|filter| match &filter.source {
        Source::Path(_) => None,
        Source::Build(folder) => {
            let (folder, module) = (folder.clone(), module_path(&filter.source));
            Some(FilterSource { name: filter.name.clone(), folder, module })
        }
    });
    Ok(built.collect())
}

/// Where the module of a folder is put: in it, under the folder's own name.
///
/// # Errors
/// The folder has no name, as `/` has none.
pub fn module_of(folder: &Path) -> std::io::Result<PathBuf> {
    // `.` has one, too.
    let whole = std::path::absolute(folder)?;
    let name = whole.file_name().ok_or_else(|| std::io::Error::other("the folder has no name"))?;
    let mut file = name.to_owned();
    file.push(".wasm");
    Ok(folder.join(file))
}
