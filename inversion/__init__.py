"""Control vector, covariances, observations, solvers and the posterior."""
