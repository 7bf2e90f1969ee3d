// A relay and the address under which browsers of this machine reach it.

/** Starts a relay and returns its WebSocket multiaddress, peer id included. */
export async function startMeetingPoint(t) {
  const relay = await t.relay();
  const response = await fetch(`${relay.origin}/bootstrap.json`);
  const { addresses } = await response.json();
  const address = addresses.find((candidate) => candidate.includes("/ws/"));
  if (!address) throw new Error(`the relay names no WebSocket address: ${addresses.join(", ")}`);
  return address;
}
