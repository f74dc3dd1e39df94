# The same with an area of CMA, which the first boot did not have.
. /guest/debug.sh
