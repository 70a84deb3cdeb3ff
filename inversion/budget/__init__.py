"""Uncertainty as the GUM has it: budgets, Monte Carlo, several outputs, and comparison of like with like."""

from inversion.budget.linear import Budget as Budget
from inversion.budget.linear import JointResult as JointResult
from inversion.budget.linear import Row as Row
from inversion.budget.linear import coverage_factor as coverage_factor
from inversion.budget.linear import effective_dof as effective_dof
from inversion.budget.linear import ellipsoid_factor as ellipsoid_factor
from inversion.budget.linear import propagate as propagate
from inversion.budget.linear import propagate_joint as propagate_joint
from inversion.budget.linear import simultaneous_factor as simultaneous_factor
from inversion.budget.measurand import P_K2 as P_K2
from inversion.budget.measurand import Comparison as Comparison
from inversion.budget.measurand import Estimate as Estimate
from inversion.budget.measurand import Measurand as Measurand
from inversion.budget.measurand import compare as compare
from inversion.budget.measurand import mask_sha256 as mask_sha256
from inversion.budget.monte_carlo import Distribution as Distribution
from inversion.budget.monte_carlo import Statement as Statement
from inversion.budget.monte_carlo import Validation as Validation
from inversion.budget.monte_carlo import draws_of as draws_of
from inversion.budget.monte_carlo import ellipsoid_of_draws as ellipsoid_of_draws
from inversion.budget.monte_carlo import monte_carlo as monte_carlo
from inversion.budget.monte_carlo import tolerance as tolerance
from inversion.budget.monte_carlo import validate as validate
from inversion.budget.quantity import Inputs as Inputs
from inversion.budget.quantity import Model as Model
from inversion.budget.quantity import Quantity as Quantity
