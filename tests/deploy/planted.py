"""A check that cannot fail shows nothing: a mistake for each kind of fault, which must be found, and silent alerts."""

import promql
from tree import Tree

K8S = "deploy/kubernetes"
STATEFUL, SERVICES, NETWORK, AVAILABLE = (f"{K8S}/{name}.yaml" for name in ("statefulset", "services", "network", "availability"))
RECORDING, ALERTS = promql.RULES

# check, file, what is there, what stands there instead
PLANTED = [
    ("manifests", STATEFUL, "  serviceName: huidu-nodes\n", "  serviceNames: huidu-nodes\n  serviceName: huidu-nodes\n"),
    ("manifests", STATEFUL, "minReadySeconds: 10", "minReadySeconds: ten"),
    ("manifests", STATEFUL, "containerPort: 8081", "containerPort: 8082"),
    ("manifests", STATEFUL, "path: /readyz", "path: /ready"),
    ("manifests", STATEFUL, "enableServiceLinks: false", "enableServiceLinks: true"),
    ("manifests", STATEFUL, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    ("manifests", STATEFUL, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
    ("manifests", STATEFUL, "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 30"),
    ("manifests", STATEFUL, "subPath: log.key", "subPath: log.key\n              mountPropagation: None\n            - name: nothing\n              mountPath: /nothing"),
    ("manifests", STATEFUL, "mountPath: /var/lib/huidu\n", "mountPath: /var/lib/data\n"),
    ("manifests", STATEFUL, "            - name: keys\n              mountPath: /var/lib/huidu/log.key\n              subPath: log.key\n              readOnly: true\n", ""),
    ("manifests", STATEFUL, "path: bus-url", "path: bus"),
    ("manifests", STATEFUL, "whenUnsatisfiable: DoNotSchedule", "whenUnsatisfiable: ScheduleAnyway"),
    ("manifests", STATEFUL, "  minReadySeconds: 10\n", "  minReadySeconds: 10\n  replicas: 3\n"),
    ("manifests", f"{K8S}/huidu.toml", "0.0.0.0:8080", "0.0.0.0:9090"),
    ("manifests", f"{K8S}/huidu.toml", "s3.bank.example:443", "s3.bank.example:8333"),
    ("manifests", f"{K8S}/kustomization.yaml", "  - network.yaml\n", ""),
    ("manifests", f"{K8S}/kustomization.yaml", 'newTag: "', 'newTag: "9.'),
    ("manifests", SERVICES, "targetPort: device", "targetPort: devices"),
    ("manifests", SERVICES, "  type: ClusterIP\n  selector:\n    app.kubernetes.io/name: huidu\n  ports:\n    - name: control", "  type: LoadBalancer\n  selector:\n    app.kubernetes.io/name: huidu\n  ports:\n    - name: control"),
    ("manifests", SERVICES, "clusterIP: None", "clusterIP: 10.0.0.1"),
    ("manifests", AVAILABLE, "maxUnavailable: 1", "maxUnavailable: 2"),
    ("manifests", AVAILABLE, "name: huidu_polls_per_second", "name: polls_per_second"),
    ("manifests", AVAILABLE, "kind: StatefulSet", "kind: Deployment"),
    ("manifests", NETWORK, 'policyTypes: ["Ingress", "Egress"]', 'policyTypes: ["Ingress"]'),
    ("manifests", NETWORK, "matchLabels:\n              kubernetes.io/metadata.name: operations", "matchLabels: {}"),
    ("manifests", NETWORK, "cidr: 10.20.0.0/24", "cidr: 0.0.0.0/0"),
    ("manifests", NETWORK, "port: 6379", "port: 6380"),
    ("manifests", "deploy/README.md", "--from-file=bus-url", "--from-file=bus-uri"),
    ("manifests", "deploy/compose.yaml", "image: redis:", "image: redis # "),
    ("rules", ALERTS, "huidu_store_up == 0\n        for: 1m", "huidu_shop_up == 0\n        for: 1m"),
    ("rules", ALERTS, 'outcome="failed"}[1h]', 'outcome="fails"}[1h]'),
    ("rules", ALERTS, "sum by (job, status)", "sum by (job, state)"),
    ("rules", ALERTS, "runbook: docs/operations/redis-down.md", "runbook: docs/operations/redis.md"),
    ("rules", ALERTS, "runbook: docs/operations/delist-now.md", "runbook: docs/operations/keys.md"),
    ("rules", ALERTS, "labels: {severity: page}", "labels: {severity: loud}"),
    ("rules", ALERTS, "code=~\"sig|", "code=~\"signature|"),
    ("rules", ALERTS, 'act=~"roll-back|kill"}[10m]', 'act=~"rollback|kill"}[10m]'),
    ("rules", ALERTS, 'huidu_ramps{phase="held"}', 'huidu_ramps{phase="stopped"}'),
    ("rules", ALERTS, 'huidu_ramp_verdicts{verdict="error"}', 'huidu_ramp_verdicts{verdict="broken"}'),
    ("rules", ALERTS, "min by (job) (huidu_ramps_blind)", "max by (job) (huidu_ramps_blind)"),
    ("rules", ALERTS, 'outcome="no-room"', 'outcome="dropped"'),
    ("rules", ALERTS, "max by (job, receiver) (max_over_time(huidu_webhook_turn[3m])) == 0", "min by (job, receiver) (max_over_time(huidu_webhook_turn[3m])) == 0"),
    ("rules", ALERTS, "max_over_time(huidu_webhook_oldest_seconds[3m])", "min_over_time(huidu_webhook_oldest_seconds[3m])"),
    ("rules", ALERTS, "sum by (job, act)", "sum by (job, action)"),
    ("rules", "docs/metrics.md", "| `huidu_webhook_turn` | gauge |", "| `huidu_webhook_lease` | gauge |"),
    ("rules", "docs/operations/alerts.md", "`HuiduWebhookGivenUp`", "`HuiduWebhookLost`"),
    ("rules", "deploy/prometheus/alerts.test.yaml", '{alertname="HuiduBusFlaps"}', '{alertname="HuiduBusDown"}'),
    ("rules", "deploy/prometheus/alerts.test.yaml", "values: 7x21 8x59", "values: 7x80"),
    ("rules", RECORDING, "vector(900)", "vector(600)"),
    ("rules", RECORDING, "rate(huidu_served_total[5m])", "rate(huidu_given_total[5m])"),
    ("rules", "deploy/prometheus/adapter.yaml", "huidu_polls_total{", "huidu_asked_total{"),
    ("rules", "deploy/prometheus/prometheus.yaml", "  - alerts.rules.yaml", "  - alarms.rules.yaml"),
    ("rules", "docs/metrics.md", "| `huidu_bus_up` | gauge |", "| `huidu_redis_up` | gauge |"),
    ("rules", "docs/operations/store-down.md", "`HuiduStoreSlow`", "`HuiduStoreTired`"),
    ("dashboard", promql.DASHBOARD, "huidu_doubts_total", "huidu_doubt_total"),
    ("dashboard", promql.DASHBOARD, "sum by (code)", "sum by (codes)"),
    ("dashboard", promql.DASHBOARD, '"id": 3,', '"id": 2,'),
    ("dashboard", promql.DASHBOARD, '"unit": "reqps"', '"unit": ""'),
    ("dashboard", promql.DASHBOARD, '"datasource": {"type": "prometheus", "uid": "${datasource}"}', '"datasource": {"type": "prometheus", "uid": "mine"}'),
    ("dashboard", promql.DASHBOARD, "sum(rate(huidu_kill_lists_total", "sum(rates(huidu_kill_lists_total"),
    ("dashboard", promql.DASHBOARD, 'app=\\"$app\\"', 'app=\\"$apps\\"'),
    ("dashboard", promql.DASHBOARD, "label_values(huidu_ledger_revision, region)", "label_values(huidu_ledger_revision, continent)"),
    ("dashboard", promql.DASHBOARD, "max by (verdict) (huidu_ramp_verdicts", "max by (guard) (huidu_ramp_verdicts"),
    ("dashboard", promql.DASHBOARD, "huidu_webhook_waiting", "huidu_webhooks_waiting"),
    ("dashboard", promql.DASHBOARD, "sum by (receiver, outcome)", "sum by (address, outcome)"),
    ("dashboard", promql.DASHBOARD, "rate(huidu_events_total", "rate(huidu_event_total"),
    ("pages", "docs/operations/redis-down.md", "`huidu_bus_up`", "`huidu_redis_up`"),
    ("pages", "docs/operations/redis-down.md", "## What to do", "## What one could do"),
    ("pages", "docs/operations/store-down.md", "`HuiduStoreDown`", "`HuiduStoreGone`"),
    ("pages", "docs/operations/region-lost.md", "](store-down.md)", "](store.md)"),
    ("pages", "deploy/README.md", "docs/operations/delist-now.md", "docs/operations/delist.md"),
    ("pages", "docs/operations/delist-now.md", 'event="crashed"', 'event="crashed-hard"'),
    ("pages", "docs/scale.md", "`public, max-age=2`", "`public, max-age=3`"),
    ("pages", "docs/scale.md", "| `/v1/kills`", "| `/v1/killed`"),
    ("pages", "docs/scale.md", "| 333333 | 25 |", "| 333333 | 20 |"),
    ("pages", AVAILABLE, "averageValue: 40k", "averageValue: 50k"),
]


def check(checks):
    missed = []
    for name, path, there, instead in PLANTED:
        text = Tree().text(path)
        if there not in text:
            missed.append(f"{path}: no longer says {there!r}, so no mistake can be planted there")
            continue
        try:
            found = checks[name](Tree({path: text.replace(there, instead)}))
        except Exception as error:  # A mistake that nothing can be read behind is found as well.
            found = [f"{type(error).__name__}: {error}"]
        if not found:
            missed.append(f"{name}: {instead!r} in place of {there!r} in {path} was not found")
    tried, silent = promql.mutants(Tree(), every=9)
    return f"figure: mistakes planted in deploy/ {len(PLANTED) + tried} found, missed: 0", missed + silent
