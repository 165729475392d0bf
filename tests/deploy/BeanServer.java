import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.management.Attribute;
import javax.management.AttributeList;
import javax.management.DynamicMBean;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanInfo;
import javax.management.MBeanServer;
import javax.management.ObjectName;

/** `java -javaagent:... BeanServer.java FILE`: shows the beans of a dump by BeanDump.java until its input ends. */
public final class BeanServer {
    public static void main(String[] args) throws Exception {
        Map<String, Map<String, Object>> beans = new LinkedHashMap<>();
        for (String line : Files.readAllLines(Path.of(args[0]), StandardCharsets.UTF_8)) {
            String[] parts = line.split("\t", -1);
            if (!parts[0].startsWith("java.lang:")) { // this JVM has its own
                beans.computeIfAbsent(parts[0], name -> new LinkedHashMap<>()).put(parts[1], value(parts[2], parts[3]));
            }
        }
        MBeanServer server = java.lang.management.ManagementFactory.getPlatformMBeanServer();
        for (Map.Entry<String, Map<String, Object>> bean : beans.entrySet()) {
            server.registerMBean(new Shown(bean.getValue()), new ObjectName(bean.getKey()));
        }
        System.out.println("showing " + beans.size());
        while (System.in.read() >= 0) { }
    }

    private static Object value(String kind, String text) {
        switch (kind) {
            case "String": return text;
            case "Boolean": return Boolean.valueOf(text);
            case "Byte": return Byte.valueOf(text);
            case "Short": return Short.valueOf(text);
            case "Integer": return Integer.valueOf(text);
            case "Long": return Long.valueOf(text);
            case "Float": return Float.valueOf(text);
            case "Double": return Double.valueOf(text);
            default: throw new IllegalArgumentException("a value of class " + kind);
        }
    }

    private static final class Shown implements DynamicMBean {
        private final Map<String, Object> values;

        Shown(Map<String, Object> values) { this.values = values; }

        @Override public Object getAttribute(String name) { return values.get(name); }

        @Override public AttributeList getAttributes(String[] names) {
            AttributeList found = new AttributeList();
            for (String name : names) found.add(new Attribute(name, values.get(name)));
            return found;
        }

        @Override public MBeanInfo getMBeanInfo() {
            MBeanAttributeInfo[] infos = values.entrySet().stream()
                .map(each -> new MBeanAttributeInfo(each.getKey(), each.getValue().getClass().getName(), each.getKey(), true, false, false))
                .toArray(MBeanAttributeInfo[]::new);
            return new MBeanInfo(Shown.class.getName(), "recorded", infos, null, null, null);
        }

        @Override public void setAttribute(Attribute attribute) { throw new UnsupportedOperationException(); }

        @Override public AttributeList setAttributes(AttributeList list) { throw new UnsupportedOperationException(); }

        @Override public Object invoke(String name, Object[] given, String[] kinds) { throw new UnsupportedOperationException(); }
    }
}
