// A round trip by fhirclient (npm), SMART's own: `by_fhirclient.mjs BASE TOKEN RUN` prints a report as JSON.
import { createRequire } from "node:module";
import { observation, SYSTEM } from "./sent.mjs";

const [base, token, run] = process.argv.slice(2);
const Client = createRequire(import.meta.url)("fhirclient/lib/Client").default;
const client = new Client({}, { serverUrl: base, tokenResponse: { access_token: token } });

async function code(status, asked) {
  try {
    await asked;
  } catch (error) {
    if (error.statusCode !== status) throw error;
    return JSON.parse(error.message.slice(error.message.indexOf("{"))).issue[0].code;
  }
  throw new Error(`not refused with ${status}`);
}

const identifier = [{ system: SYSTEM, value: run }];
const patient = { resourceType: "Patient", identifier, name: [{ family: "Öberg", given: ["Åsa"] }] };
const created = await client.create(patient);
const address = `Patient/${created.id}`;
const report = { created: created.meta.versionId };
const again = await client.create(patient, { headers: { "If-None-Exist": `identifier=${SYSTEM}|${run}` } });
report.once = again.id === created.id;

const found = await client.request(address);
report.read = found.name[0].family;
found.name[0].family = "Oberg";
const first = { headers: { "If-Match": 'W/"1"' } };
report.updated = (await client.update(found, first)).meta.versionId;
report.stale = await code(412, client.update(found, first));
report.first = (await client.request(`${address}/_history/1`)).name[0].family;
report.history = (await client.request(`${address}/_history`)).entry.length;
await client.patch(address, [{ op: "add", path: "/active", value: true }]);

const entry = [1, 2, 3, 4, 5].map((number) => observation(address, number));
const bundle = { resourceType: "Bundle", type: "transaction", entry };
const headers = { "content-type": "application/fhir+json" };
const answer = await client.request({ url: "./", method: "POST", headers, body: JSON.stringify(bundle) });
report.transaction = answer.entry.map((one) => one.response.status.slice(0, 3));

const query = `Observation?patient=${address}&_sort=-date&_count=2`;
const all = await client.request(query, { pageLimit: 0, flat: true, resolveReferences: ["subject"] });
report.found = all.map((one) => one.valueInteger);
if (all.some((one) => one.subject.active !== true)) throw new Error("the patient was not found by its reference");
report.page = (await client.request(query)).entry.length;
report.total = (await client.request(`Observation?patient=${address}&_summary=count`)).total;
const everything = await client.request(`${address}/$everything`);
report.everything = [...new Set(everything.entry.map((one) => one.resource.resourceType))].sort();
const outcome = await client.request({ url: "Patient/$validate", method: "POST", headers, body: JSON.stringify(found) });
report.valid = !outcome.issue.some((issue) => ["error", "fatal"].includes(issue.severity));
report.refused = await code(400, client.request("Patient?nonsense=1"));

for await (const one of client.resources(query)) await client.delete(`Observation/${one.id}`);
await client.delete(address);
report.gone = await code(410, client.request(address));
console.log(JSON.stringify(report));
