// A round trip by fhir-kit-client (npm): `by_fhir_kit_client.mjs BASE TOKEN RUN` prints a report as JSON.
import { Client } from "fhir-kit-client";
import { observation, SYSTEM } from "./sent.mjs";

const [baseUrl, bearerToken, run] = process.argv.slice(2);
const client = new Client({ baseUrl, bearerToken });

async function code(status, asked) {
  try {
    await asked;
  } catch (error) {
    if (error.response?.status !== status) throw error;
    return error.response.data.issue[0].code;
  }
  throw new Error(`not refused with ${status}`);
}

const { tokenUrl } = await client.smartAuthMetadata();
if (tokenUrl?.pathname !== "/oauth/token") throw new Error(`it was told another token endpoint: ${tokenUrl}`);
const resourceType = "Patient";
const identifier = [{ system: SYSTEM, value: run }];
const body = { resourceType, identifier, name: [{ family: "Öberg", given: ["Åsa"] }] };
const created = await client.create({ resourceType, body });
const { id } = created;
const report = { created: created.meta.versionId };
const options = { headers: { "If-None-Exist": `identifier=${SYSTEM}|${run}` } };
report.once = (await client.create({ resourceType, body, options })).id === id;

const found = await client.read({ resourceType, id });
report.read = found.name[0].family;
found.name[0].family = "Oberg";
const change = { resourceType, id, body: found, options: { headers: { "If-Match": 'W/"1"' } } };
report.updated = (await client.update(change)).meta.versionId;
report.stale = await code(412, client.update(change));
report.first = (await client.vread({ resourceType, id, version: "1" })).name[0].family;
report.history = (await client.resourceHistory({ resourceType, id })).entry.length;
await client.patch({ resourceType, id, jsonPatch: [{ op: "add", path: "/active", value: true }] });

const patient = `Patient/${id}`;
const entry = [1, 2, 3, 4, 5].map((number) => observation(patient, number));
const answer = await client.transaction({ body: { resourceType: "Bundle", type: "transaction", entry } });
report.transaction = answer.entry.map((one) => one.response.status.slice(0, 3));

const searchParams = { patient, _sort: "-date", _count: 2 };
const pages = [];
let page = await client.search({ resourceType: "Observation", searchParams, options: { postSearch: true } });
for (; page; page = await client.nextPage({ bundle: page })) pages.push(page.entry.map((one) => one.resource));
report.found = pages.flat().map((one) => one.valueInteger);
report.page = pages[0].length;
const compartment = { resourceType: "Patient", id };
const held = { resourceType: "Observation", compartment, searchParams: { _summary: "count" } };
report.total = (await client.compartmentSearch(held)).total;
const everything = await client.operation({ name: "everything", resourceType, id, method: "GET" });
report.everything = [...new Set(everything.entry.map((one) => one.resource.resourceType))].sort();
const outcome = await client.operation({ name: "$validate", resourceType, input: found });
report.valid = !outcome.issue.some((issue) => ["error", "fatal"].includes(issue.severity));
report.refused = await code(400, client.search({ resourceType, searchParams: { nonsense: 1 } }));

for (const one of pages.flat()) await client.delete({ resourceType: "Observation", id: one.id });
await client.delete({ resourceType, id });
report.gone = await code(410, client.read({ resourceType, id }));
console.log(JSON.stringify(report));
