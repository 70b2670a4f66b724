// Package post sends requests over HTTP to an address that an operator has given, and signs them
// as Standard Webhooks (https://www.standardwebhooks.com) says.
//
// The address may be anybody's, so what it leads to is looked at when the connection is made,
// after its name was resolved: addresses of private networks, of this machine and of its link are
// refused, unless the operator has allowed them. Redirects are not followed, no proxy is used, and
// of an answer no more is read than a few kilobytes. What is sent, what is answered and the secrets
// are in no error, and no error names more of the address than the host.
package post
