// A relay and the address under which browsers of this machine reach it.

/** Starts a relay and returns its WebSocket multiaddress, peer id included; options as for any relay. */
export async function startMeetingPoint(t, options) {
  const relay = await t.relay(options);
  const response = await fetch(`${relay.origin}/bootstrap.json`);
  const { addresses } = await response.json();
  const address = addresses.find((candidate) => candidate.includes("/ws/"));
  if (!address) throw new Error(`the relay names no WebSocket address: ${addresses.join(", ")}`);
  return address;
}
