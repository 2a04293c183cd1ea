// Print what cameras show: node examples/subscriber.js tcp://127.0.0.1:5555 [CAMERA]
// Needs: npm install zeromq. Publish with codec: raw, or decode payloads with e.g. sharp.
const zmq = require("zeromq");

// Gives { header, payload } for every frame; of codec raw, payload is height × width × 3 bytes.
async function* frames(address, camera = "") {
  const socket = new zmq.Subscriber({ receiveHighWaterMark: 4 });
  socket.connect(address);
  socket.subscribe(camera ? `frame/${camera}/` : "frame/");
  for await (const [, head, payload] of socket) yield { header: JSON.parse(head), payload };
}

async function main([address, camera]) {
  for await (const { header, payload } of frames(address, camera)) {
    const [height, width] = header.shape;
    const how = header.derained ? "derained" : `as it came (${header.bypass})`;
    const age = Date.now() - header.t_capture_ns / 1e6;
    const text = `${width}x${height}, ${how}, ${age.toFixed()} ms old, ${payload.length} bytes`;
    console.log(`${header.camera} ${header.seq}: ${text}`);
  }
}

module.exports = { frames };
if (require.main === module) main(process.argv.slice(2));
