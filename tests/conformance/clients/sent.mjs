// What both clients of npm send: an Observation as an entry of a transaction.
export const SYSTEM = "https://clients.example/run";

export const observation = (patient, number) => ({
  request: { method: "POST", url: "Observation" },
  resource: {
    resourceType: "Observation",
    status: "final",
    code: { text: "count" },
    subject: { reference: patient },
    effectiveDateTime: `2026-01-0${number}`,
    valueInteger: number,
  },
});
