//! What people decide, at the door: an act's own signature is its authority, and the connection must be its signer's. Governance has
//! no connection, so its acts may be carried by anybody enrolled. Everybody reads what concerns them and nothing else.

use governance::act::By;
use governance::log::event::Role as Signer;
use governance::{ContentHash, SignedAct, What};
use proto::v1;
use proto::v1::register_server::Register;
use tonic::{Request, Response, Status};

use super::admission::Admission;
use super::refusal::{malformed, not_own, status};
use crate::driver::{Desk, Driver, Event};
use crate::gate::Call;

/// The service that analysts and stewards call.
pub struct RegisterDoor {
    driver: Driver,
    admission: Admission,
}

impl RegisterDoor {
    pub fn new(driver: Driver, admission: Admission) -> Self {
        Self { driver, admission }
    }
}

#[tonic::async_trait]
impl Register for RegisterDoor {
    async fn act(&self, request: Request<v1::SignedAct>) -> Result<Response<v1::Acted>, Status> {
        let caller = self.admission.decides(&request)?;
        let signed = SignedAct::try_from(request.into_inner()).map_err(|error| malformed(&error))?;
        let by = signed.read().map_err(|error| malformed(&error))?.by;
        if by != caller && by.role != Signer::Governance {
            let text = format!("mismatched signer: signed by `{}`, sent by `{}`", by.id, caller.id);
            return Err(not_own(text));
        }
        let id = signed.hash();
        let taken = self.driver.ask(|reply| Event::Act { signed, reply }).await?;
        taken.map_err(|refusal| status(&refusal))?;
        let id = id.0.to_vec().into();
        Ok(Response::new(v1::Acted { id }))
    }

    async fn list_acts(&self, request: Request<v1::ListActsRequest>) -> Result<Response<v1::ActList>, Status> {
        let caller = self.admission.person(&request, Call::Read)?;
        let organisation = caller.organisation.clone();
        let look = move |desk: &Desk<'_>| visible(desk, &caller);
        let acts = self.admission.read(&self.driver, &organisation, look).await?;
        Ok(Response::new(v1::ActList { acts }))
    }
}

/// Acts that a caller may see: of grants, those that it may see; of the rest, those that concern its organisation.
fn visible(desk: &Desk<'_>, caller: &By) -> Vec<v1::SignedAct> {
    let (acts, register) = (desk.engine.books().acts(), desk.engine.books().register());
    let sees = |signed: &&SignedAct| {
        let Ok(act) = signed.read() else { return false };
        let grant = match &act.what {
            What::GrantRequested { .. } => Some(signed.hash()),
            what => what.grant().copied(),
        };
        let own = |grant: &ContentHash| register.grant(grant, caller).is_some();
        grant.as_ref().is_none_or(own) && register.concerns(&act, &caller.organisation)
    };
    acts.iter().filter(sees).cloned().map(Into::into).collect()
}
