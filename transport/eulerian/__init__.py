"""The Eulerian operator T: advection schemes (one file each), vertical mixing, stepping."""

from transport.eulerian.operator import EulerianTransport as EulerianTransport
