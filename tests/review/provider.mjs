// A provider of OpenID Connect for the tests: oauth2-mock-server with the claims that a test sets over a second port.
// node provider.mjs FOLDER-OF-MODULES; prints {"issuer": ..., "control": ...}.
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const { OAuth2Server } = createRequire(path.join(process.argv[2], "x.js"))("oauth2-mock-server");
const server = new OAuth2Server();
await server.issuer.keys.generate("RS256");
await server.start(0, "127.0.0.1");
let told = { claims: {}, drop: [], answer: null };
server.service.on("beforeTokenSigning", (token) => {
  Object.assign(token.payload, told.claims);
  for (const name of told.drop) delete token.payload[name];
});
server.service.on("beforeResponse", (response) => {
  if (told.answer) Object.assign(response, told.answer);
  if (told.token) Object.assign(response.body, told.token);
});
const control = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    told = { claims: {}, drop: [], answer: null, ...JSON.parse(body) };
    response.end("ok");
  });
});
control.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ issuer: server.issuer.url, control: `http://127.0.0.1:${control.address().port}` }));
});
