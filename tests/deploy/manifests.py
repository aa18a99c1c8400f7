"""What the Kubernetes manifests say: that a cluster takes it, that its parts name each other, and that the program means the same."""

import re
import tomllib

import kubernetes_validate

from tree import HOW

HERE = "deploy/kubernetes"
# The oldest version that is meant, and a newer one: fields come and go.
VERSIONS = ("1.27", "1.34")
# Selectors that leave nobody out.
ANYBODY = ({}, {"matchLabels": {}})
PROBES = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}


def check(tree):
    """Everything that is wrong, a line each."""
    kustomization = tree.documents(f"{HERE}/kustomization.yaml")[0]
    listed = kustomization["resources"]
    faults = [f"{path}: kustomization.yaml does not list it" for path in tree.names(HERE)
              if path.endswith(".yaml") and path.split("/")[-1] not in [*listed, "kustomization.yaml"]]
    documents = [document for name in listed for document in tree.documents(f"{HERE}/{name}")]
    faults += taken_by_a_cluster(documents)
    faults += images(tree, kustomization)
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    pods = by_kind["StatefulSet"][0]
    settings = tomllib.loads(tree.text(f"{HERE}/huidu.toml"))
    for part in (ports, ready, safe, mounts, selects, stops):
        faults += part(tree, pods, by_kind, settings)
    faults += network(tree, by_kind, settings) + scales(tree, pods, by_kind)
    return faults


def taken_by_a_cluster(documents):
    """Against the schemas of the API, in which no field may be made up."""
    faults = []
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                faults.append(f"{name}: {version} does not take it: {error.message} at {list(error.path)}")
            except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.VersionNotSupportedError) as error:
                faults.append(f"{name}: nothing is known of {version}: {error.message}; {HOW} installs the schemas")
    return faults


def images(tree, kustomization):
    """Every image has a version; ours is this build's."""
    faults = []
    ours = re.search(r'\[workspace\.package\]\nversion = "([^"]+)"', tree.text("Cargo.toml")).group(1)
    for image in kustomization["images"]:
        if image["name"] == "huidu" and image["newTag"] != ours:
            faults.append(f"kustomization.yaml: huidu:{image['newTag']} is not this build, {ours}")
    named = re.findall(r"^\s*image: (\S+)", tree.text("deploy/compose.yaml"), re.MULTILINE)
    named += re.findall(r"^FROM (\S+)", tree.text("deploy/Dockerfile"), re.MULTILINE)
    for image in named:
        tag = image.partition(":")[2]
        if not re.search(r"\d\.\d|trixie", tag) or "latest" in tag:
            faults.append(f"{image}: is not pinned to a version")
    return faults


def port_of(settings, plane):
    return int(settings[plane]["listen"].rsplit(":", 1)[1])


def container_of(pods):
    return pods["spec"]["template"]["spec"]["containers"][0]


def ports(tree, pods, by_kind, settings):
    """The container's ports are those the settings listen on and the image names; services lead to them by name."""
    here = {port["name"]: port["containerPort"] for port in container_of(pods)["ports"]}
    faults = [f"StatefulSet: port {name} is {here.get(name)}, and huidu.toml listens on {port_of(settings, name)}"
              for name in ("device", "control") if here.get(name) != port_of(settings, name)]
    exposed = re.search(r"^EXPOSE (.*)$", tree.text("deploy/Dockerfile"), re.MULTILINE).group(1).split()
    faults += [f"StatefulSet: port {number} is not one the image names" for number in here.values() if str(number) not in exposed]
    for service in by_kind["Service"]:
        name, spec = service["metadata"]["name"], service["spec"]
        faults += [f"Service {name}: no port of the pods is called {port['targetPort']}"
                   for port in spec["ports"] if port["targetPort"] not in here]
        if spec.get("type", "ClusterIP") != "ClusterIP" and any(port["targetPort"] == "control" for port in spec["ports"]):
            faults.append(f"Service {name}: the control plane is for the inside")
    devices = [s for s in by_kind["Service"] if [p["targetPort"] for p in s["spec"]["ports"]] == ["device"]]
    if len(devices) != 1:
        faults.append("Service: devices need one of their own, without the control plane")
    headless = [s["metadata"]["name"] for s in by_kind["Service"] if s["spec"].get("clusterIP") == "None"]
    if pods["spec"]["serviceName"] not in headless:
        faults.append("StatefulSet: serviceName is no headless service")
    return faults


def ready(tree, pods, _by_kind, settings):
    """Probes ask the private port for what both planes really answer."""
    faults = []
    scheme = "HTTPS" if settings["control"].get("tls", {}).get("cert") else "HTTP"
    answered = tree.text("src/control/status.rs")
    for probe, path in PROBES.items():
        asked = container_of(pods).get(probe, {}).get("httpGet", {})
        if (asked.get("path"), asked.get("port"), asked.get("scheme", "HTTP")) != (path, "control", scheme):
            faults.append(f"StatefulSet: {probe} asks {asked}, not {path} on the private port by {scheme}")
        if f'path = "{path}"' not in answered:
            faults.append(f"StatefulSet: {probe} asks {path}, which src/control/status.rs does not answer")
    return faults


def safe(_tree, pods, by_kind, _settings):
    """No privilege, no writable root, no rights of the cluster, no variable that the program takes for a setting."""
    faults, spec = [], pods["spec"]["template"]["spec"]
    if spec.get("enableServiceLinks") is not False:
        faults.append("StatefulSet: service links put HUIDU_… variables into the environment that are no settings")
    if spec.get("automountServiceAccountToken") is not False:
        faults.append("StatefulSet: a token of the cluster is mounted that nobody needs")
    if not spec["securityContext"].get("runAsNonRoot") or spec["securityContext"]["seccompProfile"]["type"] != "RuntimeDefault":
        faults.append("StatefulSet: runs as root or without seccomp")
    context = container_of(pods)["securityContext"]
    wanted = {"allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    faults += [f"StatefulSet: {key} is {context.get(key)}" for key, value in wanted.items() if context.get(key) != value]
    enforced = by_kind["Namespace"][0]["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
    if enforced != "restricted":
        faults.append(f"Namespace: enforces {enforced}")
    secret = [env["name"] for env in container_of(pods)["env"] if "secretKeyRef" in env.get("valueFrom", {})]
    return faults + [f"StatefulSet: {name} is a secret in the environment; give it as a file" for name in secret]


def mounts(tree, pods, _by_kind, settings):
    """Every path of the settings is mounted, every mount has its volume, every secret is made by a command of the page."""
    faults, spec = [], pods["spec"]["template"]["spec"]
    claimed = {claim["metadata"]["name"] for claim in pods["spec"]["volumeClaimTemplates"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    at = {mount["mountPath"]: mount for mount in container_of(pods)["volumeMounts"]}
    faults += [f"StatefulSet: {path} is mounted from {mount['name']}, which is no volume"
               for path, mount in at.items() if mount["name"] not in volumes and mount["name"] not in claimed]
    if at.get(settings["data_dir"], {}).get("name") not in claimed:
        faults.append(f"StatefulSet: {settings['data_dir']} is on no disk that comes back")
    config = container_of(pods)["args"][-1]
    files = [config, settings["store"]["secret_key_file"], settings["bus"]["url_file"]]
    # The role keys are where src/cli/parts.rs looks for them.
    for key in ("online.key", "log.key"):
        if f'"{key}"' not in tree.text("src/cli/parts.rs"):
            faults.append(f"StatefulSet: src/cli/parts.rs knows no {key}")
        files.append(f"{settings['data_dir']}/{key}")
    page = tree.text("deploy/README.md")
    for file in files:
        folder, name = file.rsplit("/", 1)
        mount = at.get(file) or at.get(folder)
        volume = volumes.get(mount["name"], {}) if mount else {}
        items = [item["path"] for item in volume.get("secret", {}).get("items", [])] or [config.rsplit("/", 1)[1]]
        if name not in items:
            faults.append(f"StatefulSet: nothing is mounted at {file}")
    for volume in volumes.values():
        for item in volume.get("secret", {}).get("items", []):
            if not re.search(rf"secret generic {volume['secret']['secretName']} [^`]*--from-file={re.escape(item['key'])}\b", page):
                faults.append(f"deploy/README.md: no command makes {volume['secret']['secretName']} with {item['key']}")
    return faults


def selects(_tree, pods, by_kind, _settings):
    """Whoever selects pods selects these."""
    labels = pods["spec"]["template"]["metadata"]["labels"]
    asking = [("StatefulSet", pods["spec"]["selector"]["matchLabels"])]
    asking += [(f"Service {s['metadata']['name']}", s["spec"]["selector"]) for s in by_kind["Service"]]
    asking += [("PodDisruptionBudget", b["spec"]["selector"]["matchLabels"]) for b in by_kind["PodDisruptionBudget"]]
    spread = pods["spec"]["template"]["spec"]["topologySpreadConstraints"]
    asking += [(f"spread over {c['topologyKey']}", c["labelSelector"]["matchLabels"]) for c in spread]
    faults = [f"{who}: selects {wanted}, and pods are {labels}" for who, wanted in asking if not wanted.items() <= labels.items()]
    zones = [c for c in spread if c["topologyKey"] == "topology.kubernetes.io/zone"]
    if not any(c["whenUnsatisfiable"] == "DoNotSchedule" and c.get("nodeTaintsPolicy") == "Honor" for c in zones):
        faults.append("StatefulSet: nothing spreads nodes over zones, or a lost zone keeps new ones from starting")
    return faults


def stops(tree, pods, by_kind, settings):
    """A node that is told to stop has the time it takes; others are there meanwhile."""
    spec = pods["spec"]["template"]["spec"]
    pause = int(container_of(pods)["lifecycle"]["preStop"]["exec"]["command"][1])
    floor, serve = tree.text("src/http/serve.rs"), tree.text("src/cli/serve.rs")
    devices = int(re.search(r"drain: Duration::from_secs\((\d+)\)", floor).group(1))
    people = int(re.search(r"timeout\(Duration::from_secs\((\d+)\), controlling\)", serve).group(1))
    flush = int(re.search(r"FLUSH: Duration = Duration::from_millis\((\d+)\)", tree.text("src/node/feedback/keep.rs")).group(1))
    counts = int(re.search(r"timeout\(FLUSH \* (\d+), counting\)", serve).group(1)) * flush / 1000
    # Where nodes serve on for a while before they close their ports, that is a setting.
    default = tomllib.loads(tree.text("deploy/huidu.toml")).get("node", {}).get("drain", "0s")
    drain = int(settings.get("node", {}).get("drain", default).removesuffix("s"))
    takes, given = pause + drain + devices + people + counts, spec["terminationGracePeriodSeconds"]
    faults = [f"StatefulSet: stopping takes {takes} s, and {given} s are given"] if given < takes + 10 else []
    budget = by_kind["PodDisruptionBudget"][0]["spec"]["maxUnavailable"]
    least = by_kind["HorizontalPodAutoscaler"][0]["spec"]["minReplicas"]
    if least - budget < 2:
        faults.append(f"PodDisruptionBudget: {budget} of {least} may be away")
    if pods["spec"]["updateStrategy"]["type"] != "RollingUpdate":
        faults.append("StatefulSet: is not rolled")
    return faults


def network(tree, by_kind, settings):
    """What is not said is refused; the control plane is open to named insiders; out go only names, store, Redis and peers."""
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in by_kind["NetworkPolicy"]}
    faults = []
    nothing = [p for p in policies.values() if p["podSelector"] == {} and set(p["policyTypes"]) == {"Ingress", "Egress"}
               and not p.get("ingress") and not p.get("egress")]
    if not nothing:
        faults.append("NetworkPolicy: nothing refuses what no other allows")
    for name, policy in policies.items():
        for rule in policy.get("ingress", []):
            told = [port["port"] for port in rule.get("ports", [])]
            anybody = not rule.get("from") or any("ipBlock" in peer or peer.get("namespaceSelector", {"": 0}) in ANYBODY for peer in rule["from"])
            if anybody or (told != ["device"] and told != ["control"]):
                faults.append(f"NetworkPolicy {name}: lets anybody in, or to both planes: {rule}")
        for rule in policy.get("egress", []):
            if not rule.get("to") or not rule.get("ports") or any(peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" for peer in rule["to"]):
                faults.append(f"NetworkPolicy {name}: lets out to anywhere: {rule}")
    out = {port["port"] for policy in policies.values() for rule in policy.get("egress", []) for port in rule["ports"]}
    store = {int(endpoint.rsplit(":", 1)[1]) for endpoint in settings["store"]["endpoints"]}
    redis = {int(port) for port in re.findall(r"redis://[^\s']*:(\d+)", tree.text("deploy/README.md"))}
    if out != store | redis | {53, "control"}:
        faults.append(f"NetworkPolicy: lets out to {out}; names, store {store}, Redis {redis} and control are what nodes need")
    return faults


def scales(tree, pods, by_kind):
    """The autoscaler moves these pods, by a metric that the adapter makes of one that exists."""
    spec = by_kind["HorizontalPodAutoscaler"][0]["spec"]
    faults = []
    if spec["scaleTargetRef"] != {"apiVersion": pods["apiVersion"], "kind": pods["kind"], "name": pods["metadata"]["name"]}:
        faults.append(f"HorizontalPodAutoscaler: moves {spec['scaleTargetRef']}")
    if "replicas" in pods["spec"]:
        faults.append("StatefulSet: names replicas, and every apply would undo the autoscaler")
    rules = {rule["name"]["as"]: rule for rule in tree.documents("deploy/prometheus/adapter.yaml")[0]["rules"]}
    for metric in spec["metrics"]:
        name = metric["pods"]["metric"]["name"]
        if name not in rules:
            faults.append(f"HorizontalPodAutoscaler: the adapter makes no {name}")
    return faults
