//! `[admin]`: the bearer tokens of the admin listener, from the environment only.

use secrecy::{ExposeSecret as _, SecretString};

use super::reader::Document;
use super::{ConfigError, Environment};

/// Shortest token that is accepted, in characters.
const TOKEN_CHARS_MIN: usize = 16;

/// Reads the table, which holds nothing: tokens do not belong in a file that
/// is committed.
pub(crate) fn read(document: &mut Document<'_>) {
    let (table, _) = document.table("admin");
    table.finish();
}

/// The tokens of `AWNING_ADMIN_TOKEN`, or one per line of `AWNING_ADMIN_TOKEN_FILE`.
pub(crate) fn admin_tokens(environment: &Environment) -> Result<Vec<SecretString>, ConfigError> {
    let Some(text) = environment.secret("AWNING_ADMIN_TOKEN")? else { return Ok(Vec::new()) };
    let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
    let tokens: Vec<SecretString> = lines.map(SecretString::from).collect();
    if tokens.iter().any(|token| token.expose_secret().len() < TOKEN_CHARS_MIN) {
        let message = "an admin token is too short: give at least 16 characters, for example from `openssl rand -hex 24`";
        return Err(ConfigError::missing(message));
    }
    Ok(tokens)
}
