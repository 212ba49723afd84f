//! The first two frames of a connection: which protocol both sides speak. A pair that shares no version is refused by
//! name, so that an operator reads which side to upgrade.

use std::io;

use governance::SignedRoster;
use prost::bytes::Bytes;

use crate::v1;
use crate::wire::{MAX_NAME, MAX_SOFTWARE, Malformed, fixed, printable, text};

/// The protocol versions that this build speaks, both ends included.
pub const PROTOCOL_MIN: u32 = 1;
pub const PROTOCOL_MAX: u32 = 1;

/// The version of this software.
pub const SOFTWARE: &str = env!("CARGO_PKG_VERSION");

/// What this executable says of itself.
#[derive(Clone, Debug)]
pub struct Software {
    /// BLAKE3 of the executable's file.
    pub digest: [u8; 32],
}

/// A greeting that was understood.
#[derive(Clone, Debug)]
pub struct Greeted {
    /// The version to speak: the highest that both know.
    pub protocol: u32,
    pub agent: String,
    pub software: String,
    pub software_digest: [u8; 32],
    pub now_ms: u64,
    /// The stream is to take the place of the agent's open one.
    pub takes_over: bool,
    /// Of the newest roster that the agent has.
    pub roster_version: u64,
}

/// Why two sides do not talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error("malformed greeting: {0}")]
    Malformed(#[from] Malformed),
    #[error(
        "no common protocol: coordinator speaks protocols {ours_min}..{ours_max}, participant {agent} {software} speaks \
         {theirs_min}..{theirs_max}"
    )]
    Unsupported {
        agent: String,
        software: String,
        ours_min: u32,
        ours_max: u32,
        theirs_min: u32,
        theirs_max: u32,
    },
    #[error(
        "no common protocol: this participant speaks protocols {PROTOCOL_MIN}..{PROTOCOL_MAX}, coordinator {software} chose {chosen}"
    )]
    Chosen { software: String, chosen: u32 },
}

impl Software {
    /// Reads and hashes the running executable; about 20 ms for 100 MB. Call once, at start.
    pub fn of_this_executable() -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(std::env::current_exe()?)?)?;
        Ok(Self {
            digest: *hasher.finalize().as_bytes(),
        })
    }

    /// The first frame of an agent.
    pub fn greeting(&self, agent: &str, roster_version: u64, now_ms: u64) -> v1::AgentFrame {
        self.greeting_of(agent, roster_version, now_ms, false)
    }

    /// The same of a stream that takes the place of the open one.
    pub fn greeting_of_successor(&self, agent: &str, roster_version: u64, now_ms: u64) -> v1::AgentFrame {
        self.greeting_of(agent, roster_version, now_ms, true)
    }

    fn greeting_of(&self, agent: &str, roster_version: u64, now_ms: u64, takes_over: bool) -> v1::AgentFrame {
        let greeting = v1::Greeting {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            software: SOFTWARE.to_owned(),
            software_digest: Bytes::copy_from_slice(&self.digest),
            agent: agent.to_owned(),
            now_ms,
            takes_over,
            roster_version,
        };
        v1::AgentFrame {
            frame: Some(v1::agent_frame::Frame::Greeting(greeting)),
        }
    }

    /// The first frame of the coordinator; the roster where the agent's is older.
    pub fn welcome(&self, protocol: u32, roster: Option<SignedRoster>, now_ms: u64) -> v1::CoordinatorFrame {
        self.welcome_of(protocol, roster, now_ms, false)
    }

    /// The same to a stream that will take the place of the open one.
    pub fn welcome_of_successor(
        &self,
        protocol: u32,
        roster: Option<SignedRoster>,
        now_ms: u64,
    ) -> v1::CoordinatorFrame {
        self.welcome_of(protocol, roster, now_ms, true)
    }

    fn welcome_of(
        &self,
        protocol: u32,
        roster: Option<SignedRoster>,
        now_ms: u64,
        taken_over: bool,
    ) -> v1::CoordinatorFrame {
        let welcome = v1::Welcome {
            protocol,
            software: SOFTWARE.to_owned(),
            software_digest: Bytes::copy_from_slice(&self.digest),
            now_ms,
            taken_over,
            roster: roster.map(v1::SignedRoster::from),
        };
        v1::CoordinatorFrame {
            frame: Some(v1::coordinator_frame::Frame::Welcome(welcome)),
        }
    }
}

/// Reads an agent's first frame and settles the protocol. Whether the name is the certificate's is the caller's check.
pub fn greeted(frame: v1::AgentFrame) -> Result<Greeted, HandshakeError> {
    let Some(v1::agent_frame::Frame::Greeting(greeting)) = frame.frame else {
        return Err(Malformed::Missing("greeting").into());
    };
    let agent = printable(text("agent name", MAX_NAME, greeting.agent)?);
    let software = software(greeting.software)?;
    let protocol = greeting.protocol_max.min(PROTOCOL_MAX);
    if protocol < greeting.protocol_min.max(PROTOCOL_MIN) {
        return Err(HandshakeError::Unsupported {
            agent,
            software,
            ours_min: PROTOCOL_MIN,
            ours_max: PROTOCOL_MAX,
            theirs_min: greeting.protocol_min,
            theirs_max: greeting.protocol_max,
        });
    }
    Ok(Greeted {
        protocol,
        agent,
        software,
        software_digest: fixed("software digest", &greeting.software_digest)?,
        now_ms: greeting.now_ms,
        takes_over: greeting.takes_over,
        roster_version: greeting.roster_version,
    })
}

/// Reads the coordinator's first frame.
pub fn welcomed(frame: v1::CoordinatorFrame) -> Result<v1::Welcome, HandshakeError> {
    let Some(v1::coordinator_frame::Frame::Welcome(mut welcome)) = frame.frame else {
        return Err(Malformed::Missing("welcome").into());
    };
    welcome.software = software(welcome.software)?;
    if !(PROTOCOL_MIN..=PROTOCOL_MAX).contains(&welcome.protocol) {
        return Err(HandshakeError::Chosen {
            software: welcome.software,
            chosen: welcome.protocol,
        });
    }
    Ok(welcome)
}

fn software(version: String) -> Result<String, Malformed> {
    Ok(printable(text("software version", MAX_SOFTWARE, version)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(min: u32, max: u32) -> v1::AgentFrame {
        let greeting = v1::Greeting {
            protocol_min: min,
            protocol_max: max,
            software: "0.3.0".to_owned(),
            software_digest: Bytes::from_static(&[7; 32]),
            agent: "x".to_owned(),
            now_ms: 0,
            takes_over: false,
            roster_version: 0,
        };
        v1::AgentFrame {
            frame: Some(v1::agent_frame::Frame::Greeting(greeting)),
        }
    }

    #[test]
    fn the_highest_common_protocol_is_spoken() {
        assert_eq!(greeted(greeting(1, 9)).unwrap().protocol, PROTOCOL_MAX);
        let software = Software { digest: [0; 32] };
        assert_eq!(welcomed(software.welcome(1, None, 5)).unwrap().now_ms, 5);
        assert!(greeted(software.greeting("x", 0, 0)).is_ok());
    }

    #[test]
    fn a_pair_without_a_common_protocol_is_refused_by_name() {
        let refused = greeted(greeting(2, 3)).unwrap_err().to_string();
        assert_eq!(
            refused,
            "no common protocol: coordinator speaks protocols 1..1, participant x 0.3.0 speaks 2..3"
        );
        let software = Software { digest: [0; 32] };
        assert!(welcomed(software.welcome(7, None, 0)).is_err());
    }

    #[test]
    fn a_version_is_short_and_printable_whoever_says_it() {
        let software = |version: &str| {
            let mut frame = Software { digest: [0; 32] }.welcome(1, None, 0);
            if let Some(v1::coordinator_frame::Frame::Welcome(welcome)) = &mut frame.frame {
                welcome.software = version.to_owned();
            }
            welcomed(frame).map(|welcome| welcome.software)
        };
        assert_eq!(software("0.3.0\x1b]0;").unwrap(), "0.3.0\u{fffd}]0;");
        assert!(software(&"9".repeat(MAX_SOFTWARE + 1)).is_err());
    }

    #[test]
    fn a_connection_opens_with_a_greeting_and_nothing_else() {
        assert!(greeted(v1::AgentFrame { frame: None }).is_err());
        assert!(welcomed(v1::CoordinatorFrame { frame: None }).is_err());
    }
}
