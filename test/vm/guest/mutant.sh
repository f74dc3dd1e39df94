# Runs what is to catch a defect that was put into the module; the kernel's arguments
# mutant= and those of the scenario are in the environment.  "none" is the module as it
# is, which has to pass everything that any defect is to be caught by.
mv "/modules/mutants/$mutant.ko" /modules/u-dma-buf.ko
if [ "$mutant" = none ]; then steps=/guest/mutants/*; else steps=/guest/mutants/$mutant; fi
failures=0
for file in $steps; do
	sh -c ". /guest/cases.sh; . $file; scenario_end" || failures=1
done
exit $failures
