//go:build race

package faults_test

// racing says whether the race detector is on.
const racing = true
