//! Writes the pages of the documentation that come from code into a folder: `docgen FOLDER`.

use std::path::Path;
use std::process::ExitCode;

use ccos_plan::reference;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: docgen FOLDER");
        return ExitCode::from(2);
    };
    let schema = ccos_cedar::SCHEMA.to_owned();
    for (name, text) in
        [("status.md", reference::status()), ("reasons.md", reference::reasons()), ("policies.cedarschema", schema)]
    {
        let path = Path::new(&folder).join(name);
        if let Err(error) = std::fs::write(&path, text.trim_end().to_owned() + "\n") {
            eprintln!("cannot write {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
