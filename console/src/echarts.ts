// The parts of ECharts that are used, and nothing of the rest.
import { BarChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TooltipComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';

use([BarChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

export function draw(element: HTMLElement, bars: { name: string; parts: number[] }[], series: string[], unit: string, stacked: boolean): () => void {
  const chart = init(element);
  const style = getComputedStyle(element);
  const ink = style.getPropertyValue('--ink'), line = style.getPropertyValue('--line');
  const colours = ['#3b74e8', '#d9642f', '#8a6fd1', '#2f9e74'];
  chart.setOption({
    animation: false, color: colours, textStyle: { color: ink },
    legend: { show: series.length > 1, top: 0, textStyle: { color: ink } },
    tooltip: { renderMode: 'richText', trigger: 'axis' },
    grid: { left: 8, right: 24, top: series.length > 1 ? 36 : 12, bottom: 8, containLabel: true },
    xAxis: { type: 'category', data: bars.map((bar) => bar.name), axisLabel: { color: ink }, axisLine: { lineStyle: { color: line } } },
    yAxis: { type: 'value', axisLabel: { color: ink, formatter: `{value}${unit}` }, splitLine: { lineStyle: { color: line } } },
    series: series.map((name, at) => ({ name, type: 'bar', stack: stacked ? 'all' : undefined, data: bars.map((bar) => bar.parts[at] ?? 0), barMaxWidth: 48 })),
  });
  const watch = new ResizeObserver(() => chart.resize());
  watch.observe(element);
  return () => { watch.disconnect(); chart.dispose(); };
}
