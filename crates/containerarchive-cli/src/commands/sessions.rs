//! How sessions are shown, as a document and for people.

use containerarchive::{SessionState, SessionView};
use serde::Serialize;

use crate::ui::{Table, time};

/// Digits of an id and of a domain that are shown.
pub(crate) const SHORT_ID_DIGITS: usize = 8;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Session"))]
pub(crate) struct SessionContent<'a> {
    id: String,
    /// `live`, `dead`, `ended` or `unknown`.
    state: &'static str,
    operation: Option<&'a str>,
    host: Option<&'a str>,
    user: Option<&'a str>,
    pid: Option<u32>,
    started_at: String,
}

pub(crate) fn session_content(session: &SessionView) -> SessionContent<'_> {
    let info = session.info.as_ref();
    SessionContent {
        id: session.id.to_hex(),
        state: state_of(session),
        operation: info.map(|info| info.operation.as_str()),
        host: info.map(|info| info.host.as_str()),
        user: info.map(|info| info.user.as_str()),
        pid: info.map(|info| info.pid),
        started_at: info.map_or(session.created, |info| info.started).to_string(),
    }
}

fn state_of(session: &SessionView) -> &'static str {
    match session.state {
        SessionState::Live => "live",
        SessionState::Dead => "dead",
        SessionState::Ended => "ended",
        SessionState::Unknown => "unknown",
    }
}

/// `width`: columns of the terminal that it is for.
pub(crate) fn session_table(sessions: &[SessionView], width: Option<usize>) -> String {
    let mut table = Table::new(&["SESSION", "STATE", "VERB", "BY", "PROCESS", "SINCE"], &[4]);
    for session in sessions {
        let info = session.info.as_ref();
        table.row([
            session.id.to_hex()[..SHORT_ID_DIGITS].to_owned(),
            state_of(session).to_owned(),
            info.map_or_else(|| "?".to_owned(), |info| info.operation.clone()),
            info.map_or_else(|| "?".to_owned(), |info| format!("{}@{}", info.user, info.host)),
            info.map_or_else(|| "?".to_owned(), |info| info.pid.to_string()),
            time(info.map_or(session.created, |info| info.started)),
        ]);
    }
    table.fit(&[2, 3], width).to_string()
}
