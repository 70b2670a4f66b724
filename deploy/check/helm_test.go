package check

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
)

const chartDir = "../helm/natsrooms"

// deployments are values that people could set, and what they make.
var deployments = []struct {
	name   string
	values map[string]any
	kinds  string
}{
	{"alone", map[string]any{}, "NetworkPolicy Secret Service Service StatefulSet"},
	{"alone, with everything", map[string]any{
		"natsConfig": " # begins with a space\nmax_payload: 2MB\nport: 1\nwebsocket { port: 8443, no_tls: true, same_origin: true }", "settings": map[string]any{"auth": "jwt", "lease": "30s", "limit": map[string]any{"attributes": 100}},
		"auth": map[string]any{"secret": "keys"}, "persistence": map[string]any{"size": "1Gi", "storageClassName": "fast"}, "service": map[string]any{"type": "LoadBalancer", "websocketPort": 8443},
		"image":            map[string]any{"digest": "sha256:" + strings.Repeat("a", 64)},
		"imagePullSecrets": []any{map[string]any{"name": "registry"}}, "nodeSelector": map[string]any{"a": "b"}, "podLabels": map[string]any{"c": "d"}, "podAnnotations": map[string]any{"e": "f"},
		"tolerations": []any{map[string]any{"key": "k", "operator": "Exists"}}, "affinity": map[string]any{"nodeAffinity": map[string]any{}},
		"networkPolicy": map[string]any{"from": []any{map[string]any{"namespaceSelector": map[string]any{}}}},
	}, "NetworkPolicy Secret Service Service StatefulSet"},
	{"beside a cluster", map[string]any{"nats": map[string]any{"url": "nats://n1,nats://n2"}, "settings": map[string]any{"replicas": 3, "feeds": true}, "inspector": map[string]any{"secret": "people"}}, "Deployment NetworkPolicy PodDisruptionBudget Secret"},
	{"beside a cluster with everything", map[string]any{
		"nats": map[string]any{"url": "tls://n1", "secret": "nats", "systemCreds": true}, "replicaCount": 5, "image": map[string]any{"tag": "edge"},
		"metrics": map[string]any{"annotations": false}, "inspector": map[string]any{"secret": "people"},
		"webhooks": map[string]any{"secret": "signatures", "files": []any{"now", "next"}, "hooks": map[string]any{
			"billing": "https://billing.example/rooms",
			"classes": map[string]any{"url": "http://school.example/hook", "secret": "classes", "types": []any{"member.joined", "message.sent"}, "rooms": "class-", "messages": true, "binary": true, "private": true, "timeout": "5s"},
			"two":     map[string]any{"url": "https://two.example/", "secret": []any{"classes", "next"}},
		}},
	}, "Deployment NetworkPolicy PodDisruptionBudget Secret"},
	{"beside a cluster, with tokens", map[string]any{
		"nats": map[string]any{"url": "n1", "secret": "nats"}, "settings": map[string]any{"auth": "jwt"}, "auth": map[string]any{"secret": "keys", "xkey": true},
	}, "Deployment NetworkPolicy PodDisruptionBudget Secret"},
	{"alone asking over HTTP", map[string]any{"settings": map[string]any{"hook": map[string]any{"send": "https://app.example/ask"}}, "webhooks": map[string]any{"secret": "signatures"}}, "NetworkPolicy Secret Service Service StatefulSet"},
	{"one beside a server", map[string]any{"nats": map[string]any{"url": "n1"}, "replicaCount": 1, "networkPolicy": map[string]any{"enabled": false}}, "Deployment Secret"},
}

func TestLint(t *testing.T) {
	for _, d := range deployments {
		for _, m := range lint.RunAll(chartDir, d.values, "rooms").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", d.name, m)
			}
		}
	}
	if bad := lint.RunAll(chartDir, map[string]any{"persistence": map[string]any{"size": "much"}}, "rooms"); bad.HighestSeverity < support.ErrorSev {
		t.Error("the linter finds nothing wrong with a volume of no size")
	}
}

// render renders the chart as helm template does; err says what it refuses.
func render(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := commonutil.ToRenderValues(c, values, common.ReleaseOptions{Name: "main", Namespace: "rooms", Revision: 1, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

var strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})

func TestStrict(t *testing.T) {
	const good = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n"
	if _, _, err := strict.Decode([]byte(good), nil, nil); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]string{
		"an unknown field": strings.Replace(good, "spec: {", "spec: {replicas: 1, ", 1), "a field twice": good + "kind: Service\n",
		"a wrong type": strings.Replace(good, "port: 1", "port: http", 1), "an unknown kind": strings.Replace(good, "Service", "Servant", 1),
	} {
		if _, _, err := strict.Decode([]byte(bad), nil, nil); err == nil {
			t.Errorf("%s is not noticed", what)
		}
	}
}

// objects are what the rendered chart makes. Each is decoded strictly, by the types of Kubernetes' own API: a field
// that they do not have, or twice, is an error.
func objects(t *testing.T, values map[string]any) (list []runtime.Object) {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			if strings.TrimSpace(files[name]) == "" {
				t.Error("there are no notes")
			}
			continue
		}
		for _, doc := range strings.Split(files[name], "\n---\n") {
			if strings.TrimSpace(doc) == "" {
				continue
			}
			object, _, err := strict.Decode([]byte(doc), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, doc)
			}
			list = append(list, object)
		}
	}
	return list
}

// kind finds the objects of a kind.
func kind[T runtime.Object](list []runtime.Object) (found []T) {
	for _, o := range list {
		if is, ok := o.(T); ok {
			found = append(found, is)
		}
	}
	return found
}

func TestChart(t *testing.T) {
	for _, d := range deployments {
		t.Run(d.name, func(t *testing.T) {
			list := objects(t, d.values)
			var kinds []string
			for _, o := range list {
				kinds = append(kinds, o.GetObjectKind().GroupVersionKind().Kind)
			}
			if slices.Sort(kinds); strings.Join(kinds, " ") != d.kinds {
				t.Errorf("it makes %q", kinds)
			}
			var pod corev1.PodTemplateSpec
			var selector map[string]string
			claims := map[string]bool{}
			for _, s := range kind[*appsv1.StatefulSet](list) {
				pod, selector = s.Spec.Template, s.Spec.Selector.MatchLabels
				if *s.Spec.Replicas != 1 || !slices.ContainsFunc(kind[*corev1.Service](list), func(v *corev1.Service) bool { return v.Name == s.Spec.ServiceName && v.Spec.ClusterIP == "None" }) {
					t.Errorf("replicas %d, service %q", *s.Spec.Replicas, s.Spec.ServiceName)
				}
				for _, c := range s.Spec.VolumeClaimTemplates {
					claims[c.Name] = c.Spec.Resources.Requests.Storage().Sign() > 0
				}
			}
			for _, s := range kind[*appsv1.Deployment](list) {
				pod, selector = s.Spec.Template, s.Spec.Selector.MatchLabels
			}
			picks(t, "the workload", selector, pod)
			for _, s := range kind[*corev1.Service](list) {
				picks(t, s.Name, s.Spec.Selector, pod)
			}
			for _, b := range kind[*policyv1.PodDisruptionBudget](list) {
				picks(t, b.Name, b.Spec.Selector.MatchLabels, pod)
			}
			for _, p := range kind[*networkingv1.NetworkPolicy](list) {
				picks(t, p.Name, p.Spec.PodSelector.MatchLabels, pod)
				if len(p.Spec.Ingress) != 1 || len(p.Spec.Ingress[0].From) == 0 || len(p.Spec.Ingress[0].Ports) == 0 {
					t.Errorf("%s lets everybody in", p.Name)
				}
			}
			ports := map[string]int32{}
			for _, p := range pod.Spec.Containers[0].Ports {
				ports[p.Name] = p.ContainerPort
			}
			for _, s := range kind[*corev1.Service](list) {
				for _, p := range s.Spec.Ports {
					if ports[p.TargetPort.StrVal] == 0 {
						t.Errorf("%s leads to the port %v, and the pods have %v", s.Name, p.TargetPort, ports)
					}
				}
			}
			for _, p := range kind[*networkingv1.NetworkPolicy](list) {
				if len(p.Spec.Ingress[0].Ports) != len(ports) || slices.ContainsFunc(p.Spec.Ingress[0].Ports, func(p networkingv1.NetworkPolicyPort) bool { return ports[p.Port.StrVal] == 0 }) {
					t.Errorf("%s lets in to %+v, and the pods have %v", p.Name, p.Spec.Ingress[0].Ports, ports)
				}
			}
			confined(t, pod.Spec)
			mounted(t, pod.Spec, claims)
			settings := kind[*corev1.Secret](list)[0].StringData
			natsConfig, _ := d.values["natsConfig"].(string)
			if settings["nats.conf"] != natsConfig {
				t.Errorf("nats.conf is %q", settings["nats.conf"])
			}
			conf := write(t, "nats.conf", natsConfig)
			key := write(t, "key", "a secret of at least 32 bytes, for this test")
			creds := write(t, "creds", "service:secret")
			whsec := "whsec_" + strings.Repeat("a2V5", 8)
			here := strings.NewReplacer("/etc/roomd/inspector/password", write(t, "password", "correct horse battery"), "/etc/roomd/webhooks/secret", write(t, "secret", whsec), "/etc/roomd/webhooks/now", write(t, "now", whsec),
				"/etc/roomd/webhooks/next", write(t, "next", whsec), "/etc/roomd/webhooks/classes", write(t, "classes", whsec),
				"/etc/roomd/settings/nats.conf", conf, "/etc/roomd/auth/key", key,
				"/etc/roomd/auth/issuer", write(t, "issuer", seed(t, nkeys.CreateAccount)), "/etc/roomd/auth/xkey", write(t, "xkey", seed(t, nkeys.CreateCurveKeys)),
				"/etc/roomd/nats/creds", creds, "/etc/roomd/nats/system-creds", creds)
			path := write(t, "roomd.yaml", here.Replace(settings["roomd.yaml"]))
			if out, err := run(t, nil, "config", "check", "--config", path); err != nil || !strings.HasSuffix(out, "ok\n") {
				t.Errorf("roomd does not take the settings: %v\n%s%s", err, out, settings["roomd.yaml"])
			}
			set, _ := d.values["settings"].(map[string]any)
			from := decided(t, nil, "--config", path)
			if nats, _ := d.values["nats"].(map[string]any); nats == nil && ports["nats"] != 4222 || nats != nil && ports["nats"] != 0 {
				t.Errorf("the ports are %v", ports)
			}
			people, _ := d.values["inspector"].(map[string]any)
			signed, _ := d.values["webhooks"].(map[string]any)
			hooks, _ := signed["hooks"].(map[string]any)
			secrets := map[string]string{}
			for _, v := range pod.Spec.Volumes {
				if v.Secret != nil {
					secrets[v.Name] = v.Secret.SecretName
				}
			}
			if got, want := secrets["inspector"]+" "+secrets["webhooks"], fmt.Sprint(or(people["secret"]), " ", or(signed["secret"])); got != want {
				t.Errorf("the pods have the secrets %q, want %q", got, want)
			}
			for name, wanted := range map[string]bool{"http-password": or(people["secret"]) != "", "webhook": len(hooks) > 0, "webhook-secret": or(signed["secret"]) != "", "auth-key": set["auth"] != nil, "auth-issuer": set["auth"] != nil && ports["nats"] == 0, "port": ports["nats"] != 0, "store-dir": ports["nats"] != 0, "image": ports["nats"] == 0} {
				if strings.HasPrefix(from[name], path) != wanted {
					t.Errorf("%s comes from %q", name, from[name])
				}
			}
			for name := range set {
				if !strings.HasPrefix(from[name], path) {
					t.Errorf("%s comes from %q", name, from[name])
				}
			}
		})
	}
}

// or is a text that may be missing.
func or(v any) string {
	s, _ := v.(string)
	return s
}

// seed is that of a new key pair.
func seed(t *testing.T, create func() (nkeys.KeyPair, error)) string {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// picks checks that a selector finds the pods.
func picks(t *testing.T, what string, selector map[string]string, pod corev1.PodTemplateSpec) {
	t.Helper()
	for name, value := range selector {
		if pod.Labels[name] != value {
			t.Errorf("%s selects %s=%s, and the pods have %q", what, name, value, pod.Labels[name])
		}
	}
	if len(selector) == 0 {
		t.Errorf("%s selects everything", what)
	}
}

// confined checks that a pod keeps to the policy "restricted" of Kubernetes, and writes only to its volumes.
func confined(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	s, c := pod.SecurityContext, pod.Containers[0].SecurityContext
	if !*s.RunAsNonRoot || *s.RunAsUser != 10001 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.AutomountServiceAccountToken {
		t.Errorf("the pod may do more than it needs: %+v", s)
	}
	if !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || !reflect.DeepEqual(c.Capabilities, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}) {
		t.Errorf("the container may do more than it needs: %+v", c)
	}
	probes := pod.Containers[0]
	for path, probe := range map[string]*corev1.Probe{"/healthz": probes.LivenessProbe, "/readyz": probes.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "http" {
			t.Errorf("the probe of %s is %+v", path, probe)
		}
	}
	if !slices.ContainsFunc(probes.Ports, func(p corev1.ContainerPort) bool { return p.Name == "http" && p.ContainerPort == 9100 }) {
		t.Errorf("the ports are %+v", probes.Ports)
	}
}

// mounted checks that each volume is there and used once.
func mounted(t *testing.T, pod corev1.PodSpec, claims map[string]bool) {
	t.Helper()
	have := maps.Clone(claims)
	for _, v := range pod.Volumes {
		have[v.Name] = true
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if !have[m.Name] || m.MountPath != "/data" && !m.ReadOnly {
			t.Errorf("the mount %+v", m)
		}
		delete(have, m.Name)
	}
	if len(have) > 0 {
		t.Errorf("volumes without a mount: %v", slices.Sorted(maps.Keys(have)))
	}
}

func TestRefusedValues(t *testing.T) {
	for says, values := range map[string]map[string]any{
		"set one of the two":            {"nats": map[string]any{"url": "n1"}, "natsConfig": "port: 1"},
		"needs `auth: jwt`":             {"auth": map[string]any{"secret": "s"}},
		"webhooks.hooks needs":          {"webhooks": map[string]any{"hooks": map[string]any{"app": "https://app.example/"}}},
		"webhooks.secret is for":        {"webhooks": map[string]any{"secret": "s"}},
		"'/webhooks/hooks/app'":         {"webhooks": map[string]any{"secret": "s", "hooks": map[string]any{"app": map[string]any{"address": "https://app.example/"}}}},
		"'/webhooks/files/0'":           {"webhooks": map[string]any{"files": []any{"../key"}}},
		"'/inspector'":                  {"inspector": map[string]any{"password": "correct horse battery"}},
		"needs auth.secret":             {"settings": map[string]any{"auth": "jwt"}},
		"is for a block `websocket`":    {"service": map[string]any{"websocketPort": 8443}},
		"'/service/websocketPort'":      {"service": map[string]any{"websocketPort": "8443"}},
		"'/settings'":                   {"settings": map[string]any{"port": 4223}},
		"'/replicaCount'":               {"replicaCount": 0},
		"'replicas' not allowed":        {"replicas": 3},
		"'/image/digest'":               {"image": map[string]any{"digest": "latest"}},
		"'/persistence/size'":           {"persistence": map[string]any{"size": "much"}},
		"'/service/type'":               {"service": map[string]any{"type": "Public"}},
		"'/nats/systemCreds'":           {"nats": map[string]any{"systemCreds": "yes"}},
		"'/networkPolicy/enabled'":      {"networkPolicy": map[string]any{"enabled": 1}},
		"'/metrics/annotations'":        {"metrics": map[string]any{"annotations": "no"}},
		"missing property 'repository'": {"image": map[string]any{"repository": nil}},
	} {
		if _, err := render(t, values); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v; want it to say %q", values, err, says)
		}
	}
}

// The chart is of the version that the programs say they have.
func TestChartVersion(t *testing.T) {
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	var m *chart.Metadata = c.Metadata
	if out, err := run(t, nil, "--version"); err != nil || !strings.HasPrefix(out, m.AppVersion) || m.Version != m.AppVersion {
		t.Errorf("the chart is %s for %s, roomd is %s (%v)", m.Version, m.AppVersion, out, err)
	}
}
