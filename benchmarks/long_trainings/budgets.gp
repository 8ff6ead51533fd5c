# Draws docs/budgets.svg:  gnuplot benchmarks/long_trainings/budgets.gp > docs/budgets.svg
# The numbers are those of the table "What more budget gives" in docs/find_measured.md.
$shares << END
3 0.73 0.21 0.67 0.13
5 0.70 0.25 0.69 0.27
10 0.84 0.34 0.79 0.32
20 0.86 0.32 0.83 0.40
50 0.90 0.40 0.87 0.32
100 0.93 0.55 0.89 0.46
END
set terminal svg size 640,400 font 'sans-serif,13' background rgb 'white'
set logscale x
set xrange [2.7:111]
set yrange [0:1]
set xtics (3, 5, 10, 20, 50, 100)
set xlabel 'budget (range tests of 100 updates)'
set ylabel 'time share on 77 trainings'
set grid ytics lc rgb '#DDDDDD'
set key bottom right
set border 3
set tics nomirror
plot $shares using 1:2 with linespoints pt 7 ps 0.6 lw 2 lc rgb '#0072B2' title 'cosine: median', \
     $shares using 1:3 with linespoints pt 7 ps 0.6 lw 2 dt 2 lc rgb '#0072B2' title 'lowest tenth', \
     $shares using 1:4 with linespoints pt 5 ps 0.6 lw 2 lc rgb '#D55E00' title 'constant rate: median', \
     $shares using 1:5 with linespoints pt 5 ps 0.6 lw 2 dt 2 lc rgb '#D55E00' title 'lowest tenth'
