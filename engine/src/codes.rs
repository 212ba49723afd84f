//! Stable codes of everything that this crate refuses; docs/errors.md explains each. Codes never change their meaning.
//!
//! 2xxx the coordinator says at its door or about a job, 3xxx a participant says about a request, 4xxx either side says about
//! the protocol: these are transient, and a retry is worth its cost.

/// The dataset is not offered by anybody here.
pub const UNKNOWN_DATASET: &str = "SOTTO-2001";
/// The request does not verify: signature, expiry, shape.
pub const BAD_REQUEST: &str = "SOTTO-2002";
/// The request names another contract than the owners offer.
pub const OTHER_CONTRACT: &str = "SOTTO-2003";
/// Too few owners are online or willing for the smallest allowed cohort.
pub const TOO_FEW: &str = "SOTTO-2004";
/// The queue is full.
pub const QUEUE_FULL: &str = "SOTTO-2005";
/// No workload answers requests of this kind.
pub const UNKNOWN_KIND: &str = "SOTTO-2006";
/// The analyst cancelled.
pub const CANCELLED: &str = "SOTTO-2007";
/// Every attempt that the request allows failed.
pub const ATTEMPTS_SPENT: &str = "SOTTO-2008";
/// The request expired before it was answered.
pub const EXPIRED: &str = "SOTTO-2009";
/// Owners refused, and too few are left.
pub const OWNERS_REFUSED: &str = "SOTTO-2010";
/// There is no such job, or it is not this analyst's.
pub const UNKNOWN_JOB: &str = "SOTTO-2011";
/// The job has ended: there is nothing to cancel.
pub const JOB_ENDED: &str = "SOTTO-2012";
/// A model cannot be moved so.
pub const MODEL_MOVE: &str = "SOTTO-2013";
/// The dataset's owners show its contract only to whom they admit.
pub const LISTED_ONLY: &str = "SOTTO-2031";
/// A contract cannot be moved so.
pub const CONTRACT_MOVE: &str = "SOTTO-2032";
/// The version that the request names is proposed, or retired by its owners.
pub const NOT_ACTIVE: &str = "SOTTO-2033";

/// The answer is there, and too few witnesses signed the log that holds it.
pub const NO_QUORUM: &str = "SOTTO-2041";
/// An event or a signature for the log does not hold.
pub const LOG_EVENT: &str = "SOTTO-2042";
/// A participant has seen more of the log than the coordinator has.
pub const LOG_LOST: &str = "SOTTO-2043";
/// An act cannot be taken: who signed it may not, or what it is about does not allow it.
pub const ACT: &str = "SOTTO-2021";
/// A grant that the job was answered under has ended or is suspended.
pub const GRANT_ENDED: &str = "SOTTO-2022";
/// The analyst's organisation, or the dataset, is suspended.
pub const SUSPENDED: &str = "SOTTO-2023";
/// There is no such grant, or it is none of this party's.
pub const UNKNOWN_GRANT: &str = "SOTTO-2024";
/// Too many requests to join, or too many calls, from one network or in all. (2051 to 2055 are `governance::join`'s.)
pub const ENROLMENT_FULL: &str = "SOTTO-2056";
/// A call to the mailbox that governance did not sign for it, lately.
pub const NOT_GOVERNANCE: &str = "SOTTO-2057";
/// No such request to join is kept in the mailbox.
pub const UNKNOWN_LETTER: &str = "SOTTO-2058";
/// A roster was handed in, and is not in force yet.
pub const ROSTER_WAITS: &str = "SOTTO-2059";

/// The analyst's organisation calls more often than it may.
pub const TOO_MANY_CALLS: &str = "SOTTO-2061";
/// It submits more requests than it may.
pub const TOO_MANY_REQUESTS: &str = "SOTTO-2062";
/// It decides more often than it may.
pub const TOO_MANY_ACTS: &str = "SOTTO-2063";
/// It has as many jobs open as it may.
pub const TOO_MANY_JOBS: &str = "SOTTO-2064";
/// An agent hands in more events or acts than it may.
pub const TOO_MANY_HANDED_IN: &str = "SOTTO-2065";
/// The release was deleted when its time here was over.
pub const RELEASE_EXPIRED: &str = "SOTTO-2066";
/// An agent does not read what it is sent in time.
pub const TOO_SLOW: &str = "SOTTO-2067";

/// The connection has no certificate that names one member.
pub const NO_IDENTITY: &str = "SOTTO-2071";
/// The certificate is that of another role than may call this.
pub const WRONG_ROLE: &str = "SOTTO-2072";
/// The roster does not name the caller.
pub const NO_MEMBER: &str = "SOTTO-2073";
/// The roster pins another key than the caller's.
pub const OTHER_KEY: &str = "SOTTO-2074";
/// What was sent is somebody else's word.
pub const NOT_OWN: &str = "SOTTO-2075";
/// An agent greets in no protocol that is spoken here.
pub const PROTOCOL: &str = "SOTTO-2076";
/// An agent's stream ended before its time, or gave way to another of its own.
pub const STREAM_ENDED: &str = "SOTTO-2077";
/// The coordinator is stopping.
pub const STOPPING: &str = "SOTTO-2078";
/// The coordinator failed at something of its own.
pub const FAULT: &str = "SOTTO-2079";
/// The analyst has as many trials under way as are relayed at a time.
pub const TRIALS_OPEN: &str = "SOTTO-2081";

/// The request does not verify at this participant.
pub const REQUEST_REFUSED: &str = "SOTTO-3002";
/// The request was closed here, or allows no such attempt.
pub const REPLAYED: &str = "SOTTO-3003";
/// The dataset is not served under this contract here.
pub const NOT_SERVED: &str = "SOTTO-3004";
/// The owner's rules say no.
pub const RULES: &str = "SOTTO-3005";
/// The coordinator's plan is not the one that follows from the request.
pub const OTHER_PLAN: &str = "SOTTO-3006";
/// The smallest cohort is smaller than this owner allows.
pub const COHORT_TOO_SMALL: &str = "SOTTO-3007";
/// The budget does not allow it.
pub const BUDGET: &str = "SOTTO-3008";
/// The dataset is paused.
pub const PAUSED: &str = "SOTTO-3009";
/// A vector without noise is not allowed by this owner.
pub const WITHOUT_NOISE: &str = "SOTTO-3010";
/// Every attempt that the request allows was used here.
pub const TOKENS_SPENT: &str = "SOTTO-3011";
/// The state of the round is not the one that follows from the sums before it.
pub const OTHER_STATE: &str = "SOTTO-3012";
/// Neither the owner's list nor an active grant admits the question.
pub const NO_GRANT: &str = "SOTTO-3021";
/// The owner, or somebody above it, suspended the analyst's organisation or the dataset.
pub const SUSPENDED_HERE: &str = "SOTTO-3022";

/// The analyst, or its organisation, asked as often as this owner allows in an hour.
pub const TOO_OFTEN: &str = "SOTTO-3061";

/// The coordinator signed two different logs: evidence is kept, nothing is answered.
pub const LOG_FORKED: &str = "SOTTO-3031";
/// The log holds charges that this ledger does not: it was put back to an older state.
pub const LEDGER_BEHIND: &str = "SOTTO-3032";

/// A cap of the configuration allows more than the ledger's, and two people did not sign that.
pub const CAP_UNAPPROVED: &str = "SOTTO-3041";
/// The configuration lists other approvers than the store, and two of those did not sign that.
pub const LIST_UNAPPROVED: &str = "SOTTO-3042";

/// The analyst tried more questions in a minute than this owner answers.
pub const TRIALS: &str = "SOTTO-3051";

/// The epoch is unknown, void or spent here.
pub const NO_EPOCH: &str = "SOTTO-4001";
/// The slot was used, or the message does not fit its phase.
pub const OUT_OF_ORDER: &str = "SOTTO-4002";
/// A cryptographic check failed.
pub const ABORT: &str = "SOTTO-4003";
/// A deadline passed.
pub const DEADLINE: &str = "SOTTO-4004";
/// The local computation did not deliver.
pub const COMPUTE: &str = "SOTTO-4005";
/// The epoch could not be set up.
pub const SETUP: &str = "SOTTO-4006";
/// The roster is not acceptable.
pub const ROSTER: &str = "SOTTO-4007";
/// Too few vectors or reveals arrived.
pub const TOO_FEW_LEFT: &str = "SOTTO-4008";
/// The agent holds no state to continue from; the next attempt brings it whole.
pub const NO_STATE: &str = "SOTTO-4009";
/// The agent derives the state itself; the next attempt brings it the sum.
pub const SUM_WANTED: &str = "SOTTO-4010";
/// This attempt, or a later one, was answered or set aside for before: a later attempt may be answered.
pub const TOKEN_USED: &str = "SOTTO-4011";
/// The head of the log was not seen yet on this connection.
pub const LOG_UNSEEN: &str = "SOTTO-4031";
/// The newest checkpoint of the log was not acceptable.
pub const LOG_FAULT: &str = "SOTTO-4032";
/// A grant was agreed, and this owner has not seen the agreement in the log yet.
pub const UNWITNESSED: &str = "SOTTO-4033";
/// An act waits here until the log says under which roster it was taken.
pub const ACT_WAITS: &str = "SOTTO-4034";
/// The log holds an act that concerns this owner, and the coordinator did not bring it.
pub const ACT_WITHHELD: &str = "SOTTO-4035";
/// The agent has not heard from the coordinator for three beats, or misses acts: it may not know of a revocation.
pub const STALE: &str = "SOTTO-4021";

/// What helps where whoever refuses knows nothing better: no refusal is without a way on.
pub fn remedy(code: &str) -> &'static str {
    match code {
        UNKNOWN_DATASET => "`sotto dataset` lists what is offered",
        BAD_REQUEST | REQUEST_REFUSED => "`sotto doctor` compares clocks and keys",
        OTHER_CONTRACT | NOT_SERVED | NOT_ACTIVE => "`sotto dataset show` names the current contract: ask under it",
        TOO_FEW | TOO_FEW_LEFT => "`sotto participant` shows who is missing",
        QUEUE_FULL | TRIALS_OPEN => "ask again later",
        TOO_MANY_CALLS | TOO_MANY_REQUESTS | TOO_MANY_ACTS | TOO_OFTEN => "ask again later, and less often",
        TOO_MANY_JOBS => "wait for a job of your organisation, or `sotto job cancel` one",
        TOO_MANY_HANDED_IN => "nothing: the agent hands the rest in again",
        RELEASE_EXPIRED => "your own copy still verifies; ask anew for a new answer",
        ENROLMENT_FULL => "wait a minute; `sotto enroll serve` at the governance holder empties the mailbox",
        UNKNOWN_LETTER => "run the same command again: it sends the request anew",
        ROSTER_WAITS => "hand it in again: the coordinator's log says what it waits for",
        TOO_SLOW => "nothing: the agent dials again; if it repeats, its link or its machine is too slow",
        NO_IDENTITY => "dial with the whole folder that `sotto enroll` made: `sotto doctor` looks through it",
        WRONG_ROLE => "use the identity of a member that has this role: `sotto doctor` says whose is in use",
        NO_MEMBER => {
            "ask the governance holder to enrol you; if that is done, the coordinator lacks the newest roster.json"
        }
        OTHER_KEY => "install the newest roster and certificate on both sides",
        NOT_OWN => "send it with the identity of whoever signed it, or sign it with your own",
        PROTOCOL => "install one release on both sides: `sotto doctor` compares versions",
        STREAM_ENDED => "nothing: the agent dials again; if it repeats, two processes use one identity",
        STOPPING => "again in a minute: what was taken goes on when it is back",
        FAULT => "ask the coordinator's operator: its log says why",
        NOT_GOVERNANCE => "use the consortium's own folder, and compare the clocks",
        UNKNOWN_KIND | OTHER_PLAN => "`sotto doctor` compares versions; else ask the coordinator's operator",
        CANCELLED | ATTEMPTS_SPENT | EXPIRED | REPLAYED | TOKENS_SPENT => "ask anew",
        OWNERS_REFUSED => "the reasons say what each owner wants; `sotto explain` shows every owner's decision",
        UNKNOWN_JOB => "`sotto job` and `sotto release` list yours",
        JOB_ENDED => "`sotto job` shows how it ended",
        MODEL_MOVE => "`sotto model` shows where each version stands",
        LISTED_ONLY => "`sotto dataset` names its owners: ask them, or for a grant",
        CONTRACT_MOVE => "`sotto contract diff` lists what breaks",
        NO_QUORUM => "it is shown as soon as enough participants are back: `sotto participant`",
        LOG_EVENT => "that agent's operator looks at its version and its identity",
        LOG_LOST => "stop the coordinator and rebuild its log from participants' mirrors",
        ACT => "`sotto grant show` says where it stands; the handbook says who decides what",
        GRANT_ENDED | NO_GRANT => "`sotto grant request` asks for a new one",
        SUSPENDED | SUSPENDED_HERE => "whoever suspended it lifts it: `sotto reinstate`",
        UNKNOWN_GRANT => "`sotto grant list` shows yours",
        RULES => "`sotto explain` shows the rule; its owner may change it",
        COHORT_TOO_SMALL => "more participants have to be online: `sotto participant`",
        BUDGET => "ask for a smaller epsilon, or read an earlier answer: `sotto release` is free",
        PAUSED => "ask again later",
        WITHOUT_NOISE => "leave `non_private` out, or every owner sets `without_noise_approved_by`",
        OTHER_STATE | ABORT => "keep the logs, and tell the governance holder",
        TRIALS => "try again in a minute",
        LOG_FORKED => "show governance the evidence: `sotto-participant status`",
        LEDGER_BEHIND => "two people sign what is charged again: `sotto-participant ledger replay` says what",
        CAP_UNAPPROVED | LIST_UNAPPROVED => {
            "`sotto-participant budget propose` writes what two approvers sign; list the signed file in `approvals` and restart"
        }
        ROSTER => "install the newest roster.json",
        code if code.starts_with("SOTTO-1") => "`sotto dataset show` and `sotto explain` say what can be asked",
        code if is_transient(code) => "nothing: it is tried again; if it repeats, that participant's log says why",
        _ => "docs/errors.md explains the code; else ask the operator of whoever said it",
    }
}

/// Whether a later attempt may succeed where this one was refused.
pub(crate) fn is_transient(code: &str) -> bool {
    code.starts_with("SOTTO-4")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_protocol_s_own_transient_troubles_have_no_better_remedy_than_patience() {
        let source = include_str!("codes.rs");
        let consts = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
        let codes: Vec<&str> = consts.collect();
        assert!(codes.len() > 40, "{codes:?}");
        let vague = |code: &&&str| remedy(code).starts_with("docs/errors.md");
        assert_eq!(codes.iter().filter(vague).collect::<Vec<_>>(), Vec::<&&str>::new());
        let mut once = codes.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), codes.len(), "a code is said for one thing alone");
    }
}
