// Package check checks that what is in deploy can be used: it reads the files as systemd, Docker
// and Kubernetes do, tries their settings on a roomd, and runs the cluster. It is a module of its own, so
// that natsrooms does not depend on what it needs for that.
package check
