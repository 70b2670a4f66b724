// Package observability holds what watches natsrooms: a dashboard for Grafana, alerts for
// Prometheus, and a collector of traces. Its tests try them with Prometheus' own library against
// the metrics and the manual. It is a module of its own, because that library needs many others.
package observability
