// The way in: by the bank's provider, or by a token that is sent once and kept by nobody here.
import { Button, Input } from 'antd';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { change, get } from '../api/client';
import { useTexts } from '../texts';
import { Answer, Field, Trouble } from '../ui';

export function SignIn() {
  const { t } = useTexts();
  const client = useQueryClient();
  const [token, setToken] = useState('');
  const doors = useQuery({ queryKey: ['session'], queryFn: () => get('GET /api/v1/session') });
  const enter = useMutation({
    mutationFn: () => change('POST /api/v1/session', { token: token.trim() }),
    onSuccess: () => client.invalidateQueries(),
    onSettled: () => setToken(''),
  });
  const submit = (event: FormEvent) => { event.preventDefault(); enter.mutate(); };
  const next = encodeURIComponent(location.pathname + location.search);
  return (
    <div className="card signin">
      <h1>{t('signin.title')}</h1>
      <Answer of={doors}>{(open) => (
        <>
          {open.provider && <p><Button type="primary" href={`/api/v1/signin?next=${next}`}>{t('signin.provider')}</Button></p>}
          {open.token && (
            <form onSubmit={submit}>
              <Field label={t('signin.token')}>
                <Input.Password value={token} onChange={(event) => setToken(event.target.value)} autoComplete="off" spellCheck={false} name="token" />
              </Field>
              <p className="faint">{t('signin.hint')}</p>
              <Button type="primary" htmlType="submit" disabled={!token.trim()} loading={enter.isPending}>{t('signin.go')}</Button>
            </form>
          )}
          {enter.error && <div style={{ marginTop: 12 }}><Trouble error={enter.error} /></div>}
        </>
      )}</Answer>
    </div>
  );
}
