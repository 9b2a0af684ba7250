import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.rest.api.*;
import ca.uhn.fhir.rest.client.api.IGenericClient;
import ca.uhn.fhir.rest.client.interceptor.*;
import ca.uhn.fhir.rest.gclient.StringClientParam;
import ca.uhn.fhir.rest.server.exceptions.*;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.*;
import java.util.stream.*;
import org.hl7.fhir.r4.model.*;

/** A round trip by HAPI's generic client (Maven Central): `BASE TOKEN ENCODING` prints a report as JSON. */
public class ByHapi {
  static final String SYSTEM = "https://clients.example/run";

  static String code(Class<? extends BaseServerResponseException> kind, Runnable call) {
    try {
      call.run();
    } catch (BaseServerResponseException e) {
      if (!kind.isInstance(e)) throw e;
      return ((OperationOutcome) e.getOperationOutcome()).getIssueFirstRep().getCode().toCode();
    }
    throw new IllegalStateException("not refused with " + kind);
  }

  static Observation observation(String patient, int number) {
    Observation made = new Observation();
    made.setStatus(Observation.ObservationStatus.FINAL).getCode().setText("count");
    made.setSubject(new Reference(patient)).setEffective(new DateTimeType("2026-01-0" + number));
    made.setValue(new IntegerType(number));
    return made;
  }

  static List<Integer> values(Bundle page) {
    return page.getEntry().stream().map(e -> ((Observation) e.getResource()).getValueIntegerType().getValue()).toList();
  }

  public static void main(String[] words) throws Exception {
    FhirContext context = FhirContext.forR4();
    context.getRestfulClientFactory().setSocketTimeout(60_000);
    IGenericClient client = context.newRestfulGenericClient(words[0]); // asks for /metadata before its first request
    client.registerInterceptor(new BearerTokenAuthInterceptor(words[1]));
    client.setEncoding(EncodingEnum.forContentType(words[2]));
    Map<String, Object> report = new LinkedHashMap<>();

    Patient patient = new Patient();
    patient.addIdentifier().setSystem(SYSTEM).setValue(words[2]);
    patient.addName().setFamily("Öberg").addGiven("Åsa");
    MethodOutcome made = client.create().resource(patient).execute();
    String id = made.getId().getIdPart(), reference = "Patient/" + id;
    report.put("created", made.getId().getVersionIdPart());
    MethodOutcome again = client.create().resource(patient).conditional()
      .where(Patient.IDENTIFIER.exactly().systemAndIdentifier(SYSTEM, words[2])).execute();
    report.put("once", again.getId().getIdPart().equals(id));

    Patient found = client.read().resource(Patient.class).withId(id).execute();
    report.put("read", found.getNameFirstRep().getFamily());
    found.getNameFirstRep().setFamily("Oberg");
    AdditionalRequestHeadersInterceptor match = new AdditionalRequestHeadersInterceptor();
    match.addHeaderValue("If-Match", "W/\"1\"");
    client.registerInterceptor(match);
    report.put("updated", client.update().resource(found).execute().getId().getVersionIdPart());
    report.put("stale", code(PreconditionFailedException.class, () -> client.update().resource(found).execute()));
    client.unregisterInterceptor(match);
    Patient first = client.read().resource(Patient.class).withIdAndVersion(id, "1").execute();
    report.put("first", first.getNameFirstRep().getFamily());
    Bundle history = client.history().onInstance(reference).andReturnBundle(Bundle.class).execute();
    report.put("history", history.getEntry().size());

    Bundle bundle = new Bundle().setType(Bundle.BundleType.TRANSACTION);
    for (int number = 1; number <= 5; number++)
      bundle.addEntry().setResource(observation(reference, number)).getRequest()
        .setMethod(Bundle.HTTPVerb.POST).setUrl("Observation");
    Bundle answer = client.transaction().withBundle(bundle).execute();
    report.put("transaction", answer.getEntry().stream().map(e -> e.getResponse().getStatus().substring(0, 3)).toList());

    Bundle page = client.search().forResource(Observation.class).where(Observation.PATIENT.hasId(reference))
      .sort().descending(Observation.DATE).count(2).returnBundle(Bundle.class).execute();
    List<Integer> values = new ArrayList<>(values(page));
    List<String> ids = new ArrayList<>();
    report.put("page", page.getEntry().size());
    for (Bundle next = page; ; next = client.loadPage().next(next).execute()) {
      if (next != page) values.addAll(values(next));
      next.getEntry().forEach(e -> ids.add(e.getResource().getIdElement().getIdPart()));
      if (next.getLink(Bundle.LINK_NEXT) == null) break;
    }
    report.put("found", values);
    report.put("total", client.search().forResource(Observation.class).where(Observation.PATIENT.hasId(reference))
      .summaryMode(SummaryEnum.COUNT).returnBundle(Bundle.class).execute().getTotal());
    Bundle everything = client.operation().onInstance(new IdType(reference)).named("$everything")
      .withNoParameters(Parameters.class).useHttpGet().returnResourceType(Bundle.class).execute();
    report.put("everything", everything.getEntry().stream().map(e -> e.getResource().fhirType()).distinct().sorted().toList());
    OperationOutcome outcome = (OperationOutcome) client.validate().resource(found).execute().getOperationOutcome();
    report.put("valid", outcome.getIssue().stream().noneMatch(issue ->
      issue.getSeverity() == OperationOutcome.IssueSeverity.ERROR || issue.getSeverity() == OperationOutcome.IssueSeverity.FATAL));
    report.put("refused", code(InvalidRequestException.class, () -> client.search().forResource(Patient.class)
      .where(new StringClientParam("nonsense").matches().value("1")).returnBundle(Bundle.class).execute()));

    ids.forEach(one -> client.delete().resourceById("Observation", one).execute());
    client.delete().resourceById("Patient", id).execute();
    report.put("gone", code(ResourceGoneException.class, () -> client.read().resource(Patient.class).withId(id).execute()));
    System.out.println(new ObjectMapper().writeValueAsString(report));
  }
}
