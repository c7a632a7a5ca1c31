// The official JavaScript client with a handler that only counts.
//
//     NODE_PATH=tests/js/node_modules node benchmarks/peers/official.cjs URL COUNT PER_FRAME
const signalR = require("@microsoft/signalr");

const [url, count, perFrame] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

async function receive() {
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(url, { accessTokenFactory: () => "bench" })
    .configureLogging(signalR.LogLevel.Error)
    .build();
  let began = 0;
  let seen = 0;
  const ended = new Promise((resolve, reject) => {
    connection.on("subscriptions", () => {
      began = began || performance.now();
      seen += 1;
      if (seen === count) resolve(performance.now());
    });
    connection.onclose((error) => reject(error ?? new Error(`closed after ${seen} of ${count} events`)));
  });
  await connection.start();
  await connection.send("Blast", count, perFrame, 0);
  const seconds = ((await ended) - began) / 1000;
  await connection.stop();
  return seconds;
}

receive().then(
  (seconds) => console.log(JSON.stringify({ count, seconds })),
  (error) => {
    console.error(String(error));
    process.exitCode = 1;
  },
);
