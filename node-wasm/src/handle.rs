//! The Rust API of a running node.
//!
//! [`NodeHandle::start`] takes the lock, opens the storage and starts the driver; from then on the node runs by itself
//! on this page's event loop until [`NodeHandle::stop`] or until another tab takes over. A handle is cheap to clone
//! and belongs to one thread, like everything that touches a page.
//!
//! Reading is synchronous ([`snapshot`](NodeHandle::snapshot), [`status`](NodeHandle::status)); changing goes through
//! one bounded queue that the driver works off in order.

use litemap::LiteMap;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use futures::channel::{mpsc, oneshot};
use inference::own::{GenerateRequest, GeneratedText, LabelScore, NamedTensor, Piece};
use js_sys::Uint8Array;
use node_proto::capability::LendPolicy;
use node_proto::ids::{JobId, ModelId, NodeId, Timestamp};
use node_proto::io::Command;
use node_proto::service::{Failure, Requirements, ServiceRequest};
use node_proto::view::{Event, Outcome, ReceiptView, ReputationView, Snapshot};
use node_proto::work::Module;
use node_proto::{GroupSecret, Node};

use crate::backup::Backup;
use crate::clock::Clock;
use crate::error::{BackupError, CommandError, ModelError, RequestError, StartError, StorageError};
use crate::events::{Broadcast, Events, NodeEvent, ShellEvent};
use crate::invite::Invite;
use crate::modules::Modules;
use crate::options::StartOptions;
use crate::order::{ORDERS_MAX, Order, StorageReply};
use crate::own::{BroughtModel, OwnModels};
use crate::status::{Backend, LoadReport, ShellStatus, TabStatus};
use crate::{platform, start};

/// Requests that wait for their outcome at the same time.
const JOBS_MAX: usize = 64;

/// A running node.
#[derive(Clone)]
pub struct NodeHandle {
    shared: Rc<Shared>,
}

/// What handles and the driver share. Nothing here stays borrowed across an `await`.
pub(crate) struct Shared {
    pub(crate) node: RefCell<Node>,
    pub(crate) status: RefCell<ShellStatus>,
    pub(crate) events: Broadcast,
    pub(crate) clock: Clock,
    orders: RefCell<mpsc::Sender<Order>>,
    /// What was ordered last for lending.
    lend_policy: RefCell<Option<LendPolicy>>,
    jobs: RefCell<LiteMap<JobId, oneshot::Sender<Result<Outcome, Failure>>>>,
    next_job: Cell<u64>,
    invite: Option<Invite>,
    pub(crate) own: OwnModels,
    pub(crate) modules: RefCell<Modules>,
}

impl NodeHandle {
    /// Starts the node of this browser profile in this tab. Returns as soon as it runs: the relay is connected
    /// afterwards, and [`status`](Self::status) tells how far that is.
    ///
    /// # Errors
    /// [`StartError::RunsElsewhere`] if another tab is the node and `options.take_over` is not set.
    pub async fn start(options: StartOptions) -> Result<Self, StartError> {
        start::start(options).await
    }

    /// The core's state: peers, offers, receipts, balance, lending.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.node.borrow().snapshot(self.now())
    }

    /// The shell's state: relay, wires, models, storage, identity.
    #[must_use]
    pub fn status(&self) -> ShellStatus {
        self.shared.status.borrow().clone()
    }

    /// What this node knows of a peer's conduct; of a stranger, what it supposes.
    #[must_use]
    pub fn reputation(&self, peer: &NodeId) -> ReputationView {
        self.shared.node.borrow().reputation(peer)
    }

    /// The own receipts with a peer that its score rests on, newest first.
    #[must_use]
    pub fn receipts_with(&self, peer: &NodeId, count: usize) -> Vec<ReceiptView> {
        self.shared.node.borrow().receipts_with(peer, count)
    }

    /// The node's clock, by which every [`Timestamp`] of its events was made.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.events.subscribe()
    }

    /// Hands a command to the core.
    ///
    /// # Errors
    /// If the node was stopped, or too many commands wait.
    pub fn command(&self, command: Command) -> Result<(), CommandError> {
        let policy = match &command {
            Command::Lend(policy) => Some(policy.clone()),
            _ => None,
        };
        self.shared.order(Order::Core(command))?;
        if policy.is_some() {
            *self.shared.lend_policy.borrow_mut() = policy;
        }
        Ok(())
    }

    /// What the next change of the policy for lending starts from: the one that was ordered last, although the
    /// [`snapshot`](Self::snapshot) shows it only once the driver has come to it.
    #[must_use]
    pub fn lend_policy(&self) -> LendPolicy {
        self.shared
            .ordered_policy()
            .unwrap_or_else(|| self.snapshot().lending.policy)
    }

    /// Takes a WebAssembly module in, so that others can be asked to run it, and names it. It stays until the page is closed, or
    /// newer ones have taken its room.
    #[must_use]
    pub fn hold_module(&self, module: &[u8]) -> Module {
        self.shared.modules.borrow_mut().hold(module)
    }

    /// Buys a service. The steps of the trade come as [`Event::Trade`] under the returned id; dropping the future
    /// does not cancel the trade, [`Command::Cancel`] does.
    ///
    /// # Errors
    /// The future fails with the trade's reason, or if the node stops.
    pub fn request(
        &self,
        request: ServiceRequest,
        requirements: Requirements,
    ) -> (JobId, impl Future<Output = Result<Outcome, RequestError>> + use<>) {
        let job = self.shared.next_job();
        let outcome = self.shared.open_job(job, request, requirements);
        (job, async move {
            Ok(outcome?.await.map_err(|_| CommandError::Stopped)??)
        })
    }

    /// Makes a model ready, on the best backend or on a pinned one. Progress shows in [`status`](Self::status).
    ///
    /// # Errors
    /// If the model is unknown, cannot be fetched, or no backend computes it correctly.
    pub async fn load_model(&self, model: ModelId, pin: Option<Backend>) -> Result<LoadReport, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.shared.order(Order::Load { model, pin, reply })?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }

    /// Forgets a model and frees what can be freed.
    ///
    /// # Errors
    /// If the node was stopped, or too many commands wait.
    pub fn unload(&self, model: ModelId) -> Result<(), CommandError> {
        self.shared.order(Order::Unload { model })
    }

    /// Takes in a model that a person brings: checks, measures and keeps it on this device. Progress shows in
    /// [`status`](Self::status), and so does the list of these models.
    ///
    /// # Errors
    /// If it is refused, with what stands in the way, or the list is full. Nothing of it is kept then.
    pub async fn add_model(&self, files: BroughtModel) -> Result<ModelId, ModelError> {
        self.shared.running()?;
        self.shared.own.add(&self.shared, files).await
    }

    /// Forgets a model that a person brought, and removes its files.
    ///
    /// # Errors
    /// If there is none of this name, or the browser refuses to remove the files: the model is off the list then all the same.
    pub async fn remove_model(&self, model: ModelId) -> Result<(), ModelError> {
        self.shared.running()?;
        self.shared.own.remove(&self.shared, model).await
    }

    /// All that is remembered of the models that a person brought, each as the JSON of an
    /// [`OwnModel`](inference::own::OwnModel), in the order of [`ShellStatus::own_models`].
    #[must_use]
    pub fn own_records(&self) -> Vec<String> {
        self.shared.own.records()
    }

    /// Tensors for tensors, from a model that was brought here.
    ///
    /// # Errors
    /// If there is none of this name, the tensors do not fit it, or it fails.
    pub async fn run(
        &self,
        model: ModelId,
        inputs: Vec<NamedTensor>,
    ) -> Result<Vec<NamedTensor>, ModelError> {
        self.shared.running()?;
        self.shared.own.run(&self.shared, model, inputs).await
    }

    /// Labelled scores for each text, the likeliest label first, from a model that was brought here.
    ///
    /// # Errors
    /// If there is none of this name, it classifies no texts, or it fails.
    pub async fn classify(
        &self,
        model: ModelId,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<LabelScore>>, ModelError> {
        self.shared.running()?;
        self.shared.own.classify(&self.shared, model, texts).await
    }

    /// Goes on from a prompt with a model that was brought here. Dropping the future ends the text.
    ///
    /// # Errors
    /// If there is none of this name, it generates no text, the request is out of bounds, or it fails.
    pub async fn generate(
        &self,
        model: ModelId,
        request: GenerateRequest,
        on_piece: impl FnMut(Piece) + 'static,
    ) -> Result<GeneratedText, ModelError> {
        self.shared.running()?;
        self.shared
            .own
            .generate(&self.shared, model, request, on_piece)
            .await
    }

    /// Gives an order and waits for its answer.
    pub(crate) async fn ask<T>(
        &self,
        order: impl FnOnce(StorageReply<T>) -> Order,
    ) -> Result<T, StorageError> {
        let (reply, answer) = oneshot::channel();
        self.shared.order(order(reply))?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }

    /// Connects to an address; answers who is there.
    ///
    /// # Errors
    /// If the address is malformed, or nobody answers there.
    pub async fn dial(&self, address: &str) -> Result<NodeId, CommandError> {
        let address = crate::address::parse_dialable(address)?;
        let (reply, answer) = oneshot::channel::<Result<NodeId, CommandError>>();
        self.shared.order(Order::Dial { address, reply })?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }

    /// Tries the relay now instead of at the next scheduled attempt.
    ///
    /// # Errors
    /// If the node was stopped, or too many commands wait.
    pub fn reconnect(&self) -> Result<(), CommandError> {
        self.shared.order(Order::Reconnect)
    }

    /// The secret of the group that this node is in; `None` in the open group.
    #[must_use]
    pub fn invite(&self) -> Option<Invite> {
        self.shared.invite.clone()
    }

    /// A new group, with a secret drawn now. To join it, start a node with it.
    ///
    /// # Errors
    /// If the browser gives no random numbers.
    pub fn new_group() -> Result<Invite, StartError> {
        platform::random().map(|secret| Invite::new(GroupSecret::from_bytes(secret)))
    }

    /// This device's identity and ledger as one file that only the passphrase opens.
    ///
    /// # Errors
    /// If the passphrase is too short, the identity is not kept, or the browser refuses.
    pub async fn export_backup(&self, passphrase: String) -> Result<Uint8Array, BackupError> {
        let (reply, answer) = oneshot::channel();
        self.shared.order(Order::Export { passphrase, reply })?;
        answer.await.map_err(|_| CommandError::Stopped)?
    }

    /// Puts a backup in place. Of this identity it is merged with what is here; of another one it takes this one's place,
    /// if `replace` says so. Tells whose it is. The node is [stopped](TabStatus::Stopped) before anything is written, whatever comes of it
    /// then; a file that cannot be used does not stop it. Start a node again to go on.
    ///
    /// # Errors
    /// If the file is not a whole backup, the passphrase is not its own, or the browser refuses. Nothing has changed then.
    pub async fn import_backup(
        &self,
        file: &Uint8Array,
        passphrase: &str,
        replace: bool,
    ) -> Result<NodeId, BackupError> {
        let backup = Backup::open(file, passphrase).await?;
        let owner = backup.owner();
        if !replace && owner != self.shared.status.borrow().me {
            return Err(BackupError::OtherIdentity(owner));
        }
        let (reply, answer) = oneshot::channel();
        self.shared.order(Order::Restore { backup, reply })?;
        answer.await.map_err(|_| CommandError::Stopped)??;
        Ok(owner)
    }

    /// Stops the node, closes its connections and lets other tabs run it.
    pub async fn stop(&self) {
        self.shared.stop(false).await;
    }
}

impl Shared {
    pub(crate) fn new(
        node: Node,
        status: ShellStatus,
        clock: Clock,
        invite: Option<Invite>,
        own: OwnModels,
    ) -> (Rc<Self>, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(ORDERS_MAX);
        let shared = Self {
            node: RefCell::new(node),
            status: RefCell::new(status),
            events: Broadcast::default(),
            clock,
            orders: RefCell::new(orders),
            jobs: RefCell::default(),
            lend_policy: RefCell::default(),
            next_job: Cell::new(1),
            invite,
            own,
            modules: RefCell::default(),
        };
        (Rc::new(shared), receiver)
    }

    pub(crate) fn handle(self: &Rc<Self>) -> NodeHandle {
        NodeHandle { shared: self.clone() }
    }

    /// What somebody chose for lending on this visit.
    pub(crate) fn ordered_policy(&self) -> Option<LendPolicy> {
        self.lend_policy.borrow().clone()
    }

    pub(crate) fn order(&self, order: Order) -> Result<(), CommandError> {
        self.orders.borrow_mut().try_send(order).map_err(|error| {
            if error.is_full() {
                CommandError::Busy
            } else {
                CommandError::Stopped
            }
        })
    }

    /// Changes the status and tells the listeners if that made a difference.
    pub(crate) fn update(&self, change: impl FnOnce(&mut ShellStatus)) {
        let changed = {
            let mut status = self.status.borrow_mut();
            let before = status.clone();
            change(&mut status);
            *status != before
        };
        if changed {
            self.events.send(&NodeEvent::Shell(ShellEvent::Status));
        }
    }

    /// Passes an event of the core on, and ends the job that it ends.
    pub(crate) fn tell(&self, event: Event) {
        match &event {
            Event::Finished { job, outcome } => self.close_job(*job, Ok((**outcome).clone())),
            Event::Failed { job, failure } => self.close_job(*job, Err(failure.clone())),
            Event::Trade { .. }
            | Event::Served { .. }
            | Event::Blob { .. }
            | Event::Stored { .. }
            | Event::Changed => {}
        }
        self.events.send(&NodeEvent::Core(event));
    }

    /// Whether the node was stopped.
    pub(crate) fn running(&self) -> Result<(), CommandError> {
        match self.status.borrow().tab {
            TabStatus::Active => Ok(()),
            TabStatus::Stopped | TabStatus::TakenOver => Err(CommandError::Stopped),
        }
    }

    /// The last words of a node.
    pub(crate) fn end(&self, tab: TabStatus) {
        self.orders.borrow_mut().close_channel();
        self.own.end();
        self.jobs.take();
        self.update(|status| {
            status.tab = tab;
            status.connections.clear();
        });
        self.events.send(&NodeEvent::Shell(ShellEvent::Stopped { tab }));
        self.events.close();
    }

    pub(crate) async fn stop(&self, taken_over: bool) {
        let (reply, done) = oneshot::channel();
        if self.order(Order::Stop { taken_over, reply }).is_ok() {
            // The driver answers, or is gone already: stopped either way.
            let _ = done.await;
        }
    }

    fn next_job(&self) -> JobId {
        JobId(self.next_job.replace(self.next_job.get() + 1))
    }

    fn open_job(
        &self,
        job: JobId,
        request: ServiceRequest,
        requirements: Requirements,
    ) -> Result<oneshot::Receiver<Result<Outcome, Failure>>, CommandError> {
        let (sender, receiver) = oneshot::channel();
        let mut jobs = self.jobs.borrow_mut();
        if jobs.len() >= JOBS_MAX {
            return Err(CommandError::Busy);
        }
        self.order(Order::Core(Command::Request {
            job,
            request,
            requirements,
        }))?;
        jobs.insert(job, sender);
        Ok(receiver)
    }

    fn close_job(&self, job: JobId, result: Result<Outcome, Failure>) {
        if let Some(sender) = self.jobs.borrow_mut().remove(&job) {
            // Nobody may be waiting any more; the outcome was in the events too.
            let _ = sender.send(result);
        }
    }
}
