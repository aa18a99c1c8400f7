// Bars, drawn by ECharts, which is fetched when the first one is shown. The same figures stand beside it as a table
// for whoever does not see it. Its tooltips are drawn, not markup: the page's policy allows no other.
import { useEffect, useRef } from 'react';

type Bar = { name: string; parts: number[] };

export function Chart({ bars, series, label, unit = '', stacked = false }: { bars: Bar[]; series: string[]; label: string; unit?: string; stacked?: boolean }) {
  const at = useRef<HTMLDivElement>(null);
  const told = JSON.stringify([bars, series, unit, stacked]);
  useEffect(() => {
    const element = at.current!;
    let end = () => {};
    let over = false;
    void import('./echarts').then(({ draw }) => { if (!over) end = draw(element, bars, series, unit, stacked); });
    return () => { over = true; end(); };
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [told]);
  const text = bars.map((bar) => `${bar.name}: ${bar.parts.map((part, n) => `${series[n]} ${part}${unit}`).join(', ')}`).join('; ');
  return <div className="chart" ref={at} role="img" aria-label={`${label}. ${text}`} />;
}
