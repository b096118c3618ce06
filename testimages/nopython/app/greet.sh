# Greets, and ends with the number of those it did not know.
unknown=0
for name; do
	case $name in
	world) echo "hello, $name" ;;
	*) unknown=$((unknown + 1)) ;;
	esac
done
exit $unknown
