import com.sun.tools.attach.VirtualMachine;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import javax.management.openmbean.CompositeData;
import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** `java BeanDump.java PID PATTERN...`: every attribute of the beans that match, one line each: bean TAB attribute TAB type TAB value. */
public final class BeanDump {
    public static void main(String[] args) throws Exception {
        VirtualMachine vm = VirtualMachine.attach(args[0]);
        String address = vm.startLocalManagementAgent();
        vm.detach();
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        try (JMXConnector connector = JMXConnectorFactory.connect(new JMXServiceURL(address))) {
            MBeanServerConnection server = connector.getMBeanServerConnection();
            List<String> lines = new ArrayList<>();
            TreeSet<ObjectName> names = new TreeSet<>();
            for (int i = 1; i < args.length; i++) names.addAll(server.queryNames(new ObjectName(args[i]), null));
            for (ObjectName name : names) {
                for (MBeanAttributeInfo info : server.getMBeanInfo(name).getAttributes()) {
                    if (!info.isReadable()) continue;
                    Object value;
                    try { value = server.getAttribute(name, info.getName()); } catch (Exception refused) { continue; }
                    record(lines, name.toString(), info.getName(), value);
                }
            }
            for (String line : lines) out.println(line);
        }
        out.flush();
    }

    private static void record(List<String> lines, String bean, String attribute, Object value) {
        if (value instanceof Number || value instanceof Boolean || value instanceof String) {
            String text = value.toString().replace("\t", " ").replace("\n", " ");
            lines.add(bean + "\t" + attribute + "\t" + value.getClass().getSimpleName() + "\t" + text);
        }
    }
}
