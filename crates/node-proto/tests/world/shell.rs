//! The shells of the hosts: what crosses the network, what is stored, what an engine does.

use node_proto::verification::storage::answer;
use node_proto::{
    BlobInput, BlobStep, Event, ExchangeFailure, ExchangeId, Failure, Hash, HeldBy, Input, Node, NodeId,
    Output, Path, Timestamp, WorkId, WorkInput, WorkOutput, Write,
};

use super::{
    Arrival, DIAL_MS, DIMENSION, Disk, Engine, Fate, LATENCY_MS, Passing, WRITE_MS, World, embedding,
};

impl World {
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Input(host, input) => self.input(host, *input),
            Arrival::Request {
                from,
                to,
                theirs,
                frame,
            } => {
                self.next_incoming += 1;
                let exchange = ExchangeId(self.next_incoming);
                self.incoming.insert(exchange.0, (from, theirs));
                let peer = self.hosts[from].id;
                self.input(
                    to,
                    Input::Request {
                        exchange,
                        peer,
                        frame,
                    },
                );
            }
            Arrival::Response {
                from,
                to,
                theirs,
                frame,
            } => {
                let passing = Passing {
                    from,
                    to,
                    is_request: false,
                    frame: &frame,
                };
                if (self.fate)(passing) != Fate::Lost {
                    let frame = (self.forge)(from, frame);
                    self.input(
                        to,
                        Input::Response {
                            exchange: theirs,
                            result: Ok(frame),
                        },
                    );
                }
            }
            Arrival::ToRelay { from, theirs, frame } => {
                let id = self.hosts[from].id;
                let answer = self.registry.handle_frame(Timestamp(self.now), id, &frame);
                let input = Input::Response {
                    exchange: theirs,
                    result: Ok(answer),
                };
                self.later(LATENCY_MS, Arrival::Input(from, Box::new(input)));
            }
            Arrival::Connect { a, b } => {
                let (first, second) = (self.hosts[a].id, self.hosts[b].id);
                if self.hosts[a].node.is_some() && self.hosts[b].node.is_some() {
                    self.routes.insert((a, second), b);
                    self.routes.insert((b, first), a);
                    self.input(
                        a,
                        Input::Connected {
                            peer: second,
                            path: Path::Direct,
                        },
                    );
                    self.input(
                        b,
                        Input::Connected {
                            peer: first,
                            path: Path::Direct,
                        },
                    );
                }
            }
        }
    }

    pub(super) fn drain(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].node.as_mut().and_then(Node::poll_output) {
            self.carry_out(host, output);
        }
    }

    fn carry_out(&mut self, host: usize, output: Output) {
        if let Output::Event(event) = output {
            self.wanted(host, &event);
            return self.hosts[host].events.push(event);
        }
        if self.silent {
            return;
        }
        match output {
            Output::Request {
                exchange,
                peer,
                frame,
                timeout_ms,
            } => {
                self.hosts[host].asked = exchange.0;
                let timeout = Input::Response {
                    exchange,
                    result: Err(ExchangeFailure::Timeout),
                };
                self.later(timeout_ms.into(), Arrival::Input(host, Box::new(timeout)));
                if peer == self.relay {
                    self.later(
                        LATENCY_MS,
                        Arrival::ToRelay {
                            from: host,
                            theirs: exchange,
                            frame,
                        },
                    );
                } else if let Some(to) = self.host_of(host, &peer) {
                    let passing = Passing {
                        from: host,
                        to,
                        is_request: true,
                        frame: &frame,
                    };
                    let copies = match (self.fate)(passing) {
                        Fate::Lost => 0,
                        Fate::Arrives => 1,
                        Fate::Twice => 2,
                    };
                    for _ in 0..copies {
                        let frame = frame.clone();
                        self.later(
                            LATENCY_MS,
                            Arrival::Request {
                                from: host,
                                to,
                                theirs: exchange,
                                frame,
                            },
                        );
                    }
                }
            }
            Output::Respond { exchange, frame } => {
                if let Some((to, theirs)) = self.incoming.remove(&exchange.0) {
                    self.later(
                        LATENCY_MS,
                        Arrival::Response {
                            from: host,
                            to,
                            theirs,
                            frame,
                        },
                    );
                }
            }
            Output::Dial { peer, .. } => {
                if let Some(other) = self.host_of(host, &peer) {
                    self.later(DIAL_MS, Arrival::Connect { a: host, b: other });
                }
            }
            Output::HangUp { peer } => {
                let own = self.hosts[host].id;
                if let Some(other) = self.host_of(host, &peer) {
                    self.routes.remove(&(host, peer));
                    self.routes.remove(&(other, own));
                    let closed = Input::Disconnected { peer: own };
                    self.later(LATENCY_MS, Arrival::Input(other, Box::new(closed)));
                }
            }
            Output::Persist { seq, writes } => self.persist(host, seq, writes),
            Output::Work {
                work,
                requester,
                input,
                ..
            } => match (self.hosts[host].engine, &input) {
                (Engine::Honest, WorkInput::Keep { .. }) => self.store(host, work, requester, input),
                _ => self.work(host, work, &input),
            },
            Output::Blob(output) => self.carry_out_blob(host, output),
            Output::Event(_) => {}
        }
    }

    fn work(&mut self, host: usize, work: WorkId, input: &WorkInput) {
        self.hosts[host].works += 1;
        let engine = self.hosts[host].engine;
        let result = match engine {
            Engine::Fails => Err(Failure::Engine {
                what: "out of memory".to_owned(),
            }),
            Engine::Forgets => Err(Failure::NotHeld),
            Engine::Hangs => return,
            _ => Ok(compute(engine, input)),
        };
        let took_ms = match engine {
            Engine::Slow(ms) => ms,
            _ => 20 * u32::try_from(input.len()).unwrap(),
        };
        let done = Input::WorkDone {
            work,
            result,
            took_ms,
        };
        self.later(took_ms.into(), Arrival::Input(host, Box::new(done)));
    }

    /// Answers questions about a blob; one that is not here yet comes from whoever asks.
    fn store(&mut self, host: usize, work: WorkId, requester: NodeId, input: WorkInput) {
        let WorkInput::Keep {
            blob,
            bytes,
            questions,
            ..
        } = &input
        else {
            return;
        };
        let shelf = &mut self.hosts[host].shelf;
        let Some(content) = shelf.whole.get(blob) else {
            shelf.parts.retain(|(of, _), _| of != blob);
            let want = BlobInput::Want {
                blob: *blob,
                bytes: u64::from(*bytes),
                held_by: HeldBy::Peer(requester),
                outline: None,
                kept: Vec::new(),
                has_origin: false,
            };
            shelf.waits = Some((work, input));
            return self.later(1, Arrival::Input(host, Box::new(Input::Blob(want))));
        };
        let answers = questions.iter().filter_map(|question| answer(question, content));
        let result = Ok(WorkOutput::Held {
            answers: answers.collect(),
        });
        let done = Input::WorkDone {
            work,
            result,
            took_ms: 5,
        };
        self.later(5, Arrival::Input(host, Box::new(done)));
    }

    /// What was wanted so that it can be kept is here, or is not to be had.
    fn wanted(&mut self, host: usize, event: &Event) {
        let Event::Blob { blob, step } = event else { return };
        let is_whole = match step {
            BlobStep::Progress(_) => return,
            BlobStep::Whole(_) => true,
            BlobStep::Failed { .. } => false,
        };
        let Some((work, input)) = self.hosts[host].shelf.waits.take() else {
            return;
        };
        if !is_whole {
            let done = Input::WorkDone {
                work,
                result: Err(Failure::NotHeld),
                took_ms: 5,
            };
            return self.later(5, Arrival::Input(host, Box::new(done)));
        }
        let content = self.content(host, *blob);
        self.hosts[host].shelf.whole.insert(*blob, content);
        let me = self.hosts[host].id;
        self.store(host, work, me, input);
    }

    fn persist(&mut self, host: usize, seq: u64, writes: Vec<Write>) {
        let input = match self.hosts[host].disk {
            Disk::Refuses => Input::PersistFailed { seq },
            Disk::Writes | Disk::Silent => {
                for write in writes {
                    match write {
                        Write::Put { key, value } => self.hosts[host].stored.insert(key, value),
                        Write::Delete { key } => self.hosts[host].stored.remove(&key),
                    };
                }
                Input::Persisted { seq }
            }
        };
        if self.hosts[host].disk != Disk::Silent {
            self.later(WRITE_MS, Arrival::Input(host, Box::new(input)));
        }
    }
}

fn compute(engine: Engine, input: &WorkInput) -> WorkOutput {
    match input {
        WorkInput::Texts { texts } => {
            let vector = |text: &String| match engine {
                Engine::Cunning if text.starts_with("known answer") => embedding(text),
                Engine::Lies | Engine::Cunning => embedding(&format!("not {text}")),
                _ => embedding(text),
            };
            WorkOutput::Embeddings {
                dimension: DIMENSION as u32,
                values: texts.iter().flat_map(vector).collect(),
                backend: "cpu".to_owned(),
            }
        }
        WorkInput::Keep { questions, .. } => WorkOutput::Held {
            answers: questions.iter().map(|question| Hash(question.nonce)).collect(),
        },
        WorkInput::Cached { .. } => unreachable!("no engine is asked for what is kept"),
        WorkInput::Runs { module, inputs, .. } => {
            let outcome = |input: &Vec<u8>| {
                let mut outcome = super::outcome(module, input);
                if matches!(engine, Engine::Lies | Engine::Cunning) {
                    outcome.ending = b"invented".to_vec();
                }
                outcome
            };
            WorkOutput::Runs {
                outcomes: inputs.iter().map(outcome).collect(),
            }
        }
    }
}
