import ca.uhn.fhir.context.*;
import ca.uhn.fhir.context.support.*;
import ca.uhn.fhir.validation.*;
import org.hl7.fhir.common.hapi.validation.support.*;
import org.hl7.fhir.common.hapi.validation.validator.*;
import java.io.*;
import java.nio.file.*;
import java.util.*;

/** Reads paths from standard input and prints, tab-separated, every error that HAPI's validator finds in each file. */
public class Agreement {
  public static void main(String[] args) throws Exception {
    FhirContext context = FhirContext.forR4();
    ValidationSupportChain chain = new ValidationSupportChain(
      new DefaultProfileValidationSupport(context),
      new InMemoryTerminologyServerValidationSupport(context),
      new CommonCodeSystemsTerminologyService(context));
    FhirInstanceValidator module = new FhirInstanceValidator(chain);
    module.setAnyExtensionsAllowed(true);
    module.setErrorForUnknownProfiles(false);
    module.setNoTerminologyChecks(false);
    FhirValidator validator = context.newValidator().registerValidatorModule(module);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8");
    for (String line; (line = in.readLine()) != null; ) {
      String body = Files.readString(Path.of(line));
      try {
        for (SingleValidationMessage m : validator.validateWithResult(body).getMessages()) {
          boolean error = m.getSeverity() == ResultSeverityEnum.ERROR || m.getSeverity() == ResultSeverityEnum.FATAL;
          if (error) {
            String text = m.getMessage().replaceAll("\\s+", " ");
            out.println(line + "\t" + m.getLocationString() + "\t" + m.getMessageId() + "\t" + text);
          }
        }
      } catch (RuntimeException e) {
        String text = String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
        out.println(line + "\t-\t" + text.split(":")[0] + "\t" + text);
      }
      out.println(line + "\tdone");
    }
  }
}
